"""A seal opens for its ring, purpose and owner, and for nobody and nothing else."""

import base64
from pathlib import Path

import pytest

from service.config import KeySettings
from service.errors import ConfigRefused, SeqserveError, SnapshotRefused, TicketExpired, TicketRefused
from service.sessions.seal import Keyring, Purpose, parse_keys

OLD, NEW = b"o" * 32, b"n" * 32
DATA = b"a snapshot" * 3


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ring(clock: Clock) -> Keyring:
    return Keyring({"k1": OLD}, clock)


def line(key_id: str, key: bytes) -> str:
    return f"{key_id}:{base64.b64encode(key).decode()}"


@pytest.mark.parametrize("purpose", ["ticket", "snapshot"])
@pytest.mark.parametrize("data", [b"", DATA, bytes(100_000)])
def test_what_was_sealed_is_opened(ring: Keyring, purpose: Purpose, data: bytes) -> None:
    sealed = ring.seal(data, purpose=purpose, owner="ann", expires_at=1001)
    assert ring.open(sealed, purpose=purpose, owner="ann") == data
    assert len(sealed) - len(data) < 80


def test_what_is_sealed_cannot_be_read_and_differs_each_time(ring: Keyring) -> None:
    one, other = (ring.seal(DATA, purpose="ticket", owner="ann") for _ in range(2))
    assert DATA[:8] not in one
    assert b"ann" not in one
    assert one[-len(DATA) :] != other[-len(DATA) :]


@pytest.mark.parametrize(("purpose", "error"), [("ticket", TicketRefused), ("snapshot", SnapshotRefused)])
def test_every_flipped_bit_and_every_truncation_is_refused(
    ring: Keyring, purpose: Purpose, error: type[SeqserveError]
) -> None:
    sealed = ring.seal(DATA, purpose=purpose, owner="ann", expires_at=2000)
    for at in range(len(sealed) * 8):
        flipped = bytearray(sealed)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(error):
            ring.open(bytes(flipped), purpose=purpose, owner="ann")
    for size in range(len(sealed)):
        with pytest.raises(error):
            ring.open(sealed[:size], purpose=purpose, owner="ann")
    with pytest.raises(error):
        ring.open(sealed + b"\0", purpose=purpose, owner="ann")


def test_purposes_cannot_be_swapped(ring: Keyring) -> None:
    with pytest.raises(SnapshotRefused):
        ring.open(ring.seal(DATA, purpose="ticket", owner="ann"), purpose="snapshot", owner="ann")
    with pytest.raises(TicketRefused):
        ring.open(ring.seal(DATA, purpose="snapshot", owner="ann"), purpose="ticket", owner="ann")


def test_another_owners_ticket_is_answered_like_a_forged_one_even_when_it_is_over(
    ring: Keyring, clock: Clock
) -> None:
    ticket = ring.seal(DATA, purpose="ticket", owner="ann", expires_at=1010)
    forged = Keyring({"k1": NEW}, clock).seal(DATA, purpose="ticket", owner="bob", expires_at=1010)
    clock.now = 2000
    answers = []
    for attempt in (ticket, forged):
        with pytest.raises(TicketRefused) as refused:
            ring.open(attempt, purpose="ticket", owner="bob")
        answers.append((type(refused.value), str(refused.value)))
    assert answers[0] == answers[1]
    assert answers[0][0] is TicketRefused
    assert "ann" not in answers[0][1]


def test_a_ticket_is_over_at_its_time_and_not_before(ring: Keyring, clock: Clock) -> None:
    ticket = ring.seal(DATA, purpose="ticket", owner="ann", expires_at=1010)
    clock.now = 1009.99
    assert ring.open(ticket, purpose="ticket", owner="ann") == DATA
    clock.now = 1010
    with pytest.raises(TicketExpired):
        ring.open(ticket, purpose="ticket", owner="ann")


def test_without_an_end_it_opens_for_ever(ring: Keyring, clock: Clock) -> None:
    sealed = ring.seal(DATA, purpose="snapshot", owner="ann")
    clock.now = 1e12
    assert ring.open(sealed, purpose="snapshot", owner="ann") == DATA


def test_keys_are_rotated_by_putting_the_new_one_first() -> None:
    before, during, after = Keyring({"k1": OLD}), Keyring({"k2": NEW, "k1": OLD}), Keyring({"k2": NEW})
    old = before.seal(DATA, purpose="ticket", owner="ann")
    new = during.seal(DATA, purpose="ticket", owner="ann")
    assert during.open(old, purpose="ticket", owner="ann") == DATA
    assert after.open(new, purpose="ticket", owner="ann") == DATA
    with pytest.raises(TicketRefused, match="no key 'k1'"):
        after.open(old, purpose="ticket", owner="ann")
    with pytest.raises(TicketRefused, match="no key 'k2'"):
        before.open(new, purpose="ticket", owner="ann")


def test_keys_of_one_id_and_other_bytes_open_nothing_of_each_other(ring: Keyring) -> None:
    with pytest.raises(TicketRefused):
        Keyring({"k1": NEW}).open(
            ring.seal(DATA, purpose="ticket", owner="ann"), purpose="ticket", owner="ann"
        )


def test_a_ring_of_chance_opens_what_it_sealed() -> None:
    ring = Keyring.random()
    assert ring.open(ring.seal(DATA, purpose="ticket", owner="ann"), purpose="ticket", owner="ann") == DATA


def test_keys_come_from_a_file_that_others_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# rotated in May\n{line('k2', NEW)}\n\n{line('k1', OLD)}\n")
    for mode in (0o400, 0o600, 0o640, 0o440):
        path.chmod(mode)
        ring = Keyring.from_settings(KeySettings(snapshot_keys_file=path))
        assert ring is not None
        assert repr(ring) == "Keyring(k2, k1)"
    for mode in (0o644, 0o604, 0o660, 0o606, 0o601):
        path.chmod(mode)
        with pytest.raises(ConfigRefused, match="mode"):
            Keyring.from_file(path)


def test_keys_come_from_the_settings() -> None:
    assert Keyring.from_settings(KeySettings()) is None
    settings = KeySettings.model_validate({"snapshot_keys": f"{line('k2', NEW)}, {line('k1', OLD)}"})
    ring = Keyring.from_settings(settings)
    assert repr(ring) == "Keyring(k2, k1)"
    assert base64.b64encode(NEW).decode()[:8] not in repr(settings)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k1",
        "k1:%%%%",
        line("k1", b"short"),
        line("", OLD),
        line("k 1", OLD),
        line("k" * 33, OLD),
        line("k1", OLD) + "\n" + line("k1", NEW),
    ],
)
def test_keys_that_are_wrong_are_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigRefused) as refused:
        Keyring(parse_keys(text))
    shown = text.partition(":")[2]
    assert not shown or shown not in str(refused.value)


def test_file_and_settings_together_are_refused(tmp_path: Path) -> None:
    settings = KeySettings.model_validate({"snapshot_keys": "k:x", "snapshot_keys_file": tmp_path / "keys"})
    with pytest.raises(ConfigRefused, match="not both"):
        Keyring.from_settings(settings)
    with pytest.raises(ConfigRefused, match="cannot read"):
        Keyring.from_file(tmp_path / "keys")
