from pathlib import Path
from typing import Any

import pytest

from service.api.inference.sequences import Caller, Key, Sequences
from service.config import SessionSettings
from service.errors import Overloaded, SessionNotFound
from service.registry import Served
from service.sessions import Sessions, SessionTable
from tests.fakes.toy_bundles import write_toy_classifier
from tests.fakes.toy_server import toy_served


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def served(tmp_path: Path) -> Any:
    with toy_served(write_toy_classifier(tmp_path)) as one:
        yield one


def sequences_of(served: Served, clock: Clock, **settings: Any) -> tuple[Sequences, Sessions]:
    wanted = SessionSettings(default_ttl_s=60.0, **settings)
    sessions = Sessions(SessionTable(wanted, clock), None, lambda name, version: served)
    return Sequences(sessions, 60.0, clock), sessions


def key(number: int | str = 1, owner: str = "ann", connection: str = "peer a", model: str = "m") -> Key:
    return Key(Caller(owner, connection), model, number)


async def use(
    sequences: Sequences, which: Key, starts_on: Served | None = None, *, ends: bool = False
) -> str:
    async with sequences.hold(which, starts_on, ends=ends) as session:
        return session.id


async def test_owner_connection_model_and_id_tell_sequences_apart(served: Served, clock: Clock) -> None:
    sequences, sessions = sequences_of(served, clock)
    keys = [key(), key(owner="bob"), key(connection="peer b"), key(model="n"), key(2), key("1")]
    ids = [await use(sequences, each, served) for each in keys]
    assert len(set(ids)) == len(keys) == len(sessions)
    assert [await use(sequences, each) for each in keys] == ids


async def test_what_nobody_goes_on_with_is_forgotten_with_its_session(served: Served, clock: Clock) -> None:
    sequences, sessions = sequences_of(served, clock)
    await use(sequences, key(1), served)
    clock.now += 40
    await use(sequences, key(2), served)
    clock.now += 40
    with pytest.raises(SessionNotFound, match="no sequence 1"):
        await use(sequences, key(1))
    await use(sequences, key(2))
    await sessions.tidy()
    assert (len(sequences), len(sessions)) == (1, 1)


async def test_sequences_that_were_left_take_no_memory(served: Served, clock: Clock) -> None:
    sequences, _ = sequences_of(served, clock)
    for number in range(1, 201):
        await use(sequences, key(number), served)
    clock.now += 62
    await use(sequences, key(1000), served)
    assert len(sequences) == 1


async def test_a_first_request_that_fails_leaves_nothing(served: Served, clock: Clock) -> None:
    sequences, sessions = sequences_of(served, clock)
    with pytest.raises(ZeroDivisionError):
        async with sequences.hold(key(), served, ends=False):
            raise ZeroDivisionError
    assert (len(sequences), len(sessions)) == (0, 0)


async def test_a_restart_that_fails_leaves_the_old_one(served: Served, clock: Clock) -> None:
    sequences, sessions = sequences_of(served, clock)
    old = await use(sequences, key(), served)
    with pytest.raises(ZeroDivisionError):
        async with sequences.hold(key(), served, ends=False):
            raise ZeroDivisionError
    assert await use(sequences, key()) == old
    new = await use(sequences, key(), served)
    assert new != old
    assert len(sessions) == 1


async def test_sequences_count_as_sessions_of_their_owner(served: Served, clock: Clock) -> None:
    sequences, _ = sequences_of(served, clock, max_sessions_per_owner=2)
    await use(sequences, key(1), served)
    await use(sequences, key(2), served)
    with pytest.raises(Overloaded, match="you have 2 sessions"):
        await use(sequences, key(3), served)
    await use(sequences, key(1), ends=True)
    await use(sequences, key(3), served)


async def test_a_session_that_its_owner_closed_ends_the_sequence(served: Served, clock: Clock) -> None:
    sequences, sessions = sequences_of(served, clock)
    session_id = await use(sequences, key(), served)
    async with sessions.hold("ann", session_id) as holding:
        await sessions.close(holding.session)
    with pytest.raises(SessionNotFound, match="no sequence 1"):
        await use(sequences, key())
    assert len(sequences) == 0
