"""Tickets: sealed bytes back to a session. None opens but those that were given; what is under a seal may be odd."""

from collections.abc import Iterator
from functools import cache

from service.config import SessionSettings
from service.errors import SnapshotRefused, TicketRefused
from service.sessions.seal import Keyring
from service.sessions.tickets import Tickets
from tests.fuzz.snapshots import bare, framed, snapshots
from tests.fuzz.target import Target, json_words

OWNER, NOW = "alice", 2000.0
RING = Keyring({"one": b"1" * 32, "two": b"2" * 32}, clock=lambda: NOW)
TICKETS = Tickets(RING, SessionSettings(), clock=lambda: NOW)


def take(data: bytes) -> None:
    """`T` and pairs of bytes: changes of a genuine one. What begins as sealed bytes do: itself. Else what is sealed."""
    if data.startswith((b"T", b"SQSL")):
        sealed = changed(given()[len(data) % 2], data[1:]) if data[:1] == b"T" else data
        RING.open(sealed, purpose="ticket", owner=OWNER)
        assert sealed in given(), "a ticket was forged"
        return
    sealed = RING.seal(framed(data), purpose="ticket", owner=OWNER, expires_at=NOW + 1)
    assert RING.open(sealed, purpose="ticket", owner=OWNER) == framed(data)
    TICKETS.check_newest(TICKETS.take(sealed, OWNER), 0)


def changed(ticket: bytes, pairs: bytes) -> bytes:
    """With bytes changed: how far from the last one changed, and by what; one left over is put to the end."""
    found, at = bytearray(ticket), 0
    for step, by in zip(pairs[::2], pairs[1::2], strict=False):
        at = (at + step) % len(found)
        found[at] ^= by
    return bytes(found) + pairs[len(pairs) // 2 * 2 :]


@cache
def given() -> tuple[bytes, ...]:
    return tuple(RING.seal(s, purpose="ticket", owner=OWNER, expires_at=NOW + 9) for s in snapshots())


def seeds() -> Iterator[bytes]:
    yield from (b"T", b"T\x05\x03\x08\x01", b"T\x00\x00\x01", b"SQSL\x01\x03one")
    yield from map(bare, snapshots())


TARGET = Target(
    "tickets",
    take,
    seeds,
    refusals=(TicketRefused, SnapshotRefused),
    max_bytes=8192,
    words=(b"SQSL", b"one", b"two", *json_words("next_turn", "facts")),
)
