"""What somebody may try against another's session, and what each attempt is answered with.

Every attack is one row of the table in docs/sessions.md. `test_attacks` runs each while its victim's stream is writing.
"""

import asyncio
import secrets
import sqlite3
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc

from seqserve.v1 import session_pb2
from service.sessions.seal import Keyring, parse_keys
from service.sessions.snapshot import FORMAT, decode, encode
from tests.fakes.toy_server import Toys
from tests.fakes.wire import Refused, Talk, model, refused

KEYS = f"k1:{'A' * 43}="
ALICE, MALLORY, NOBODY = "alice", "mallory", ""
STRANGERS = (MALLORY, NOBODY)
EVERY_STEP = session_pb2.Durability(mode=session_pb2.DURABILITY_MODE_EVERY_STEP)
REGIONS = {
    "magic": 0,
    "version": 4,
    "id length": 5,
    "key id": 6,
    "expiry": 8,
    "salt": 16,
    "nonce": 32,
    "sealed": 44,
}
"""Where the parts of a sealed ticket or snapshot begin, for a key id of two letters."""


def talk(toys: Toys, *owners: str) -> Talk:
    """A new stream of this owner; of nobody where it is empty."""
    return Talk(toys.sequence.Session(metadata=[("seqserve-owner", owner) for owner in owners if owner]))


@dataclass
class Scene:
    """What the attacker finds. The victim's stream is writing; the engine is held."""

    toys: Toys
    store: Path
    session_id: str
    """The victim's."""
    old_ticket: bytes
    """Of before a rewind."""
    new_ticket: bytes
    idle_ids: list[str]
    """Two sessions of the victim's that no stream holds, as the store has them."""
    other: Toys
    """Another server on the same store."""
    streams: list[Any] = field(default_factory=list)

    async def said(self, owner: str, *, at: Toys | None = None, **request: Any) -> Refused:
        """What the first request of a new stream is refused with."""
        stream = talk(at or self.toys, owner)
        self.streams.append(stream.call)
        return await refused(stream.say(**request))

    async def taken(self, ticket: bytes, owner: str = ALICE) -> Refused:
        return await self.said(owner, resume=session_pb2.Resume(ticket=ticket))

    async def restored(self, session_id: str) -> Refused:
        """What its owner gets who resumes a session from the store."""
        return await self.said(ALICE, at=self.other, resume=session_pb2.Resume(session_id=session_id))

    async def ticket_of(self, owner: str, ttl_ms: int | None = None) -> tuple[str, bytes]:
        """A session of this owner, and a ticket of it."""
        stream = talk(self.toys, owner)
        opened = await stream.say(open=session_pb2.Open(model=model()))
        asked = session_pb2.Snapshot(as_ticket=True)
        if ttl_ms:
            asked.ticket_ttl.FromMilliseconds(ttl_ms)
        ticket = (await stream.say(snapshot=asked)).ticket
        await stream.leave()
        return opened.session_id, ticket

    def stored(self, session_id: str) -> bytes:
        with self._database() as database:
            [(data,)] = database.execute("SELECT data FROM sessions WHERE session_id = ?", (session_id,))
        return bytes(data)

    def put(self, session_id: str, data: bytes | None) -> None:
        """Change what the store has of a session."""
        with self._database() as database:
            database.execute("UPDATE sessions SET data = ? WHERE session_id = ?", (data, session_id))

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.store, timeout=30)


Run = Callable[[Scene], AsyncIterator[Refused]]


@dataclass(frozen=True)
class Attack:
    name: str
    code: grpc.StatusCode
    reason: str
    run: Run


ATTACKS: list[Attack] = []


def attack(name: str, code: grpc.StatusCode, reason: str) -> Callable[[Run], Run]:
    """Puts an attack into the table: every answer that it yields has to be this one."""

    def noted(run: Run) -> Run:
        ATTACKS.append(Attack(name, code, reason, run))
        return run

    return noted


NOT_FOUND = (grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")
NOT_POSSIBLE = (grpc.StatusCode.FAILED_PRECONDITION, "NOT_POSSIBLE")
TICKET_REFUSED = (grpc.StatusCode.INVALID_ARGUMENT, "TICKET_REFUSED")
TICKET_OUTDATED = (grpc.StatusCode.FAILED_PRECONDITION, "TICKET_OUTDATED")
TICKET_EXPIRED = (grpc.StatusCode.FAILED_PRECONDITION, "TICKET_EXPIRED")
SNAPSHOT_REFUSED = (grpc.StatusCode.FAILED_PRECONDITION, "SNAPSHOT_REFUSED")
INVALID = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT")


# Another owner's session id


@attack("resume another owner's session by its id", *NOT_FOUND)
async def resume(scene: Scene) -> AsyncIterator[Refused]:
    for owner in STRANGERS:
        yield await scene.said(owner, resume=session_pb2.Resume(session_id=scene.session_id))


@attack("the same where only the store, or another server, has it", *NOT_FOUND)
async def resume_elsewhere(scene: Scene) -> AsyncIterator[Refused]:
    for owner in STRANGERS:
        for session_id in (scene.session_id, *scene.idle_ids):
            yield await scene.said(owner, at=scene.other, resume=session_pb2.Resume(session_id=session_id))


@attack("`DescribeSession` of another owner's", *NOT_FOUND)
async def describe(scene: Scene) -> AsyncIterator[Refused]:
    request = session_pb2.DescribeSessionRequest(session_id=scene.session_id)
    async for answer in _asked(scene, "DescribeSession", request):
        yield answer


@attack("`CloseSession` of another owner's", *NOT_FOUND)
async def close(scene: Scene) -> AsyncIterator[Refused]:
    request = session_pb2.CloseSessionRequest(session_id=scene.session_id)
    async for answer in _asked(scene, "CloseSession", request):
        yield answer


@attack("a second `resume`, of another owner's, on a stream of one's own", *NOT_POSSIBLE)
async def resume_on_own_stream(scene: Scene) -> AsyncIterator[Refused]:
    for owner in STRANGERS:
        stream = talk(scene.toys, owner)
        await stream.say(open=session_pb2.Open(model=model()))
        yield await refused(stream.say(resume=session_pb2.Resume(session_id=scene.session_id)))


@attack(
    "any other message (feed, generate, rewind, fork, snapshot, ticket, keep-alive, close) without a session",
    *NOT_POSSIBLE,
)
async def without_session(scene: Scene) -> AsyncIterator[Refused]:
    for request in (
        {"feed": session_pb2.Feed(text="uno ")},
        {"generate": session_pb2.Generate()},
        {"rewind": session_pb2.Rewind(after_turn=-1)},
        {"fork": session_pb2.Fork()},
        {"snapshot": session_pb2.Snapshot()},
        {"snapshot": session_pb2.Snapshot(as_ticket=True)},
        {"keep_alive": session_pb2.KeepAlive()},
        {"close": session_pb2.Close()},
    ):
        yield await scene.said(MALLORY, **request)


@attack("two owners at once, or one with too long a name", *INVALID)
async def two_owners(scene: Scene) -> AsyncIterator[Refused]:
    request = session_pb2.Resume(session_id=scene.session_id)
    for owners in ((MALLORY, ALICE), (ALICE, MALLORY), ("a" * 129,)):
        yield await refused(talk(scene.toys, *owners).say(resume=request))


# Tickets


@attack("another owner's ticket", *TICKET_REFUSED)
async def stolen_ticket(scene: Scene) -> AsyncIterator[Refused]:
    for owner in STRANGERS:
        yield await scene.taken(scene.new_ticket, owner)
        yield await scene.taken(scene.old_ticket, owner)


@attack("a ticket with one bit flipped, in every byte of it", *TICKET_REFUSED)
async def flipped_ticket(scene: Scene) -> AsyncIterator[Refused]:
    for damaged in flipped(scene.new_ticket):
        yield await scene.taken(damaged)


@attack("a ticket cut off at any length, or with more behind it", *TICKET_REFUSED)
async def truncated_ticket(scene: Scene) -> AsyncIterator[Refused]:
    for damaged in truncated(scene.new_ticket):
        yield await scene.taken(damaged)


@attack("a ticket put together from two genuine ones, at every seam", *TICKET_REFUSED)
async def spliced_ticket(scene: Scene) -> AsyncIterator[Refused]:
    for begin in (REGIONS["salt"], REGIONS["nonce"], REGIONS["sealed"]):
        yield await scene.taken(scene.old_ticket[:begin] + scene.new_ticket[begin:])


@attack(
    "a ticket sealed with a key of the attacker's, under the server's key id or another, or noise",
    *TICKET_REFUSED,
)
async def forged_ticket(scene: Scene) -> AsyncIterator[Refused]:
    data = opened(scene.new_ticket)
    for key_id in ("k1", "k2", "random"):
        yield await scene.taken(sealed(data, Keyring({key_id: secrets.token_bytes(32)})))
    for size in (1, 60, 100_000):
        yield await scene.taken(secrets.token_bytes(size))


@attack("a snapshot from the store, given as a ticket", *TICKET_REFUSED)
async def snapshot_as_ticket(scene: Scene) -> AsyncIterator[Refused]:
    for session_id in scene.idle_ids:
        yield await scene.taken(scene.stored(session_id))


@attack("a ticket whose time is over", *TICKET_EXPIRED)
async def expired_ticket(scene: Scene) -> AsyncIterator[Refused]:
    _, ticket = await scene.ticket_of(ALICE, ttl_ms=1)
    await asyncio.sleep(0.01)
    yield await scene.taken(ticket)


@attack("the same with a later end written into it", *TICKET_REFUSED)
async def prolonged_ticket(scene: Scene) -> AsyncIterator[Refused]:
    _, ticket = await scene.ticket_of(ALICE, ttl_ms=1)
    for expires in (2**63, 2**64 - 1, 0):
        yield await scene.taken(ticket[:8] + struct.pack("<Q", expires) + ticket[16:])


@attack("one's own old ticket, after a rewind, here or at another server", *TICKET_OUTDATED)
async def old_ticket(scene: Scene) -> AsyncIterator[Refused]:
    for at in (scene.toys, scene.other):
        yield await scene.said(ALICE, at=at, resume=session_pb2.Resume(ticket=scene.old_ticket))


@attack("one's own ticket of a session that was closed", *TICKET_OUTDATED)
async def ticket_of_closed(scene: Scene) -> AsyncIterator[Refused]:
    session_id, ticket = await scene.ticket_of(ALICE)
    metadata = (("seqserve-owner", ALICE),)
    await scene.toys.sessions.CloseSession(
        session_pb2.CloseSessionRequest(session_id=session_id), metadata=metadata
    )
    for at in (scene.toys, scene.other):
        yield await scene.said(ALICE, at=at, resume=session_pb2.Resume(ticket=ticket))


@attack("a genuine ticket of a newer format", *SNAPSHOT_REFUSED)
async def newer_ticket(scene: Scene) -> AsyncIterator[Refused]:
    data = opened(scene.new_ticket)
    yield await scene.taken(sealed(data[:4] + struct.pack("<H", FORMAT + 1) + data[6:]))


@attack("a genuine ticket of a model, a version or a build that is not served here", *SNAPSHOT_REFUSED)
async def ticket_of_other_model(scene: Scene) -> AsyncIterator[Refused]:
    snapshot = replace(decode(opened(scene.new_ticket)), session_id="from-elsewhere")
    for other in (
        replace(snapshot, model="toy-fr-en"),
        replace(snapshot, version="2"),
        replace(snapshot, manifest_hash="0" * 64),
        replace(snapshot, model="toy-intents"),
    ):
        yield await scene.taken(sealed(encode(other)))


# The store: what somebody can do who may write there, and has no key


@attack("a snapshot in the store with one bit flipped, in every byte of it", *SNAPSHOT_REFUSED)
async def flipped_snapshot(scene: Scene) -> AsyncIterator[Refused]:
    session_id = scene.idle_ids[0]
    for damaged in flipped(scene.stored(session_id)):
        scene.put(session_id, damaged)
        yield await scene.restored(session_id)


@attack("a snapshot in the store that is cut off, or no snapshot", *SNAPSHOT_REFUSED)
async def truncated_snapshot(scene: Scene) -> AsyncIterator[Refused]:
    session_id = scene.idle_ids[0]
    good = scene.stored(session_id)
    for damaged in (*list(truncated(good))[::20], b"", b"x" * 500):
        scene.put(session_id, damaged)
        yield await scene.restored(session_id)


@attack("the snapshots of two sessions of one owner swapped", *SNAPSHOT_REFUSED)
async def swapped_snapshots(scene: Scene) -> AsyncIterator[Refused]:
    one, other = (scene.stored(session_id) for session_id in scene.idle_ids)
    for session_id, data in zip(scene.idle_ids, (other, one), strict=True):
        scene.put(session_id, data)
        yield await scene.restored(session_id)


@attack("the snapshot of one owner put in place of another's", *SNAPSHOT_REFUSED)
async def swapped_owners(scene: Scene) -> AsyncIterator[Refused]:
    mine, _ = await scene.ticket_of(MALLORY)
    scene.put(scene.idle_ids[0], scene.stored(mine))
    yield await scene.restored(scene.idle_ids[0])


@attack("a ticket put into the store as a snapshot", *SNAPSHOT_REFUSED)
async def ticket_as_snapshot(scene: Scene) -> AsyncIterator[Refused]:
    session_id, ticket = await scene.ticket_of(ALICE)
    scene.put(session_id, ticket)
    yield await scene.restored(session_id)


def opened(ticket: bytes) -> bytes:
    """What is under the server's seal."""
    return _ring().open(ticket, purpose="ticket", owner=ALICE)


def sealed(data: bytes, ring: Keyring | None = None) -> bytes:
    """A ticket, by default as the server's own key makes it."""
    return (ring or _ring()).seal(data, purpose="ticket", owner=ALICE, expires_at=2e9 * 2)


def flipped(data: bytes) -> list[bytes]:
    """The data with one bit changed, for every byte, each time another one of its bits."""
    return [data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :] for at in range(len(data))]


def truncated(data: bytes) -> list[bytes]:
    return [*(data[:size] for size in range(1, len(data))), data + b"\0", data + data]


def _ring() -> Keyring:
    return Keyring(parse_keys(KEYS))


async def _asked(scene: Scene, method: str, request: Any) -> AsyncIterator[Refused]:
    """What strangers are refused with at both servers."""
    for toys in (scene.toys, scene.other):
        for owner in STRANGERS:
            metadata = (("seqserve-owner", owner),) if owner else ()
            call: Awaitable[Any] = getattr(toys.sessions, method)(request, metadata=metadata)
            yield await refused(call)
