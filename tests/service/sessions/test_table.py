import asyncio
from dataclasses import replace

import pytest

from service.config import SessionSettings
from service.errors import InvalidInput, Overloaded, SessionNotFound
from service.registry import Served
from service.sessions import NEW, Parted, Session, SessionTable, Why
from service.sessions import table as table_module

SERVED: Served = None  # type: ignore[assignment]  # sessions carry it and never look at it


class Clock:
    """Time that passes when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Table:
    """A table with a clock, and short words for what the tests do."""

    def __init__(self, **settings: float) -> None:
        self.clock = Clock()
        self.table = SessionTable(SessionSettings(**settings), self.clock)  # type: ignore[arg-type]

    def open(self, owner: str = "", ttl_s: float | None = None) -> Session:
        return self.table.open(owner, SERVED, ttl_s)

    async def exists(self, session: Session, owner: str = "") -> bool:
        try:
            async with self.table.hold(owner, session.id) as holding:
                return holding.session is session
        except SessionNotFound:
            return False


def test_ids_are_long_and_never_the_same() -> None:
    table = Table()
    ids = {table.open().id for _ in range(100)}
    assert len(ids) == 100
    assert all(len(each) >= 22 for each in ids)


async def waiting(table: Table, session: Session, held: asyncio.Event) -> str:
    """A stream that holds a session and waits for a request; answers why it had to let go."""
    async with table.table.hold("", session.id) as holding:
        held.set()
        try:
            with holding.giving_way():
                await asyncio.sleep(60)
        except Parted as parted:
            return parted.why.value
    return "?"


async def test_who_resumes_a_held_session_takes_it_over() -> None:
    table = Table()
    session = table.open()
    streams = []
    for _ in range(3):
        held = asyncio.Event()
        streams.append(asyncio.create_task(waiting(table, session, held)))
        await held.wait()
    async with table.table.hold("", session.id) as holding:
        assert holding.session is session
        assert await asyncio.gather(*streams) == ["claimed"] * 3


async def test_a_stream_in_the_middle_of_a_turn_ends_it_first() -> None:
    table = Table()
    session = table.open()
    order: list[str] = []

    async def stream(held: asyncio.Event) -> None:
        async with table.table.hold("", session.id) as holding:
            held.set()
            await asyncio.sleep(0.05)
            order.append("the turn is done")
            with pytest.raises(Parted), holding.giving_way():
                await asyncio.sleep(60)

    held = asyncio.Event()
    task = asyncio.create_task(stream(held))
    await held.wait()
    async with table.table.hold("", session.id):
        order.append("taken over")
    await task
    assert order == ["the turn is done", "taken over"]


async def test_a_stream_that_never_gives_way_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "TAKE_OVER_S", 0.05)
    table = Table()
    session = table.open()
    held = asyncio.Event()

    async def stream() -> None:
        async with table.table.hold("", session.id):
            held.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(stream())
    await held.wait()
    async with table.table.hold("", session.id):
        pass
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_session_that_is_closed_while_it_is_taken_over_is_gone() -> None:
    table = Table()
    session = table.open()
    held = asyncio.Event()

    async def stream() -> None:
        async with table.table.hold("", session.id):
            held.set()
            await asyncio.sleep(0.05)
            table.table.close(session)

    task = asyncio.create_task(stream())
    await held.wait()
    assert not await table.exists(session)
    await task


async def test_a_stream_that_leaves_while_it_is_asked_to_let_go_just_leaves() -> None:
    table = Table()
    session = table.open()
    held = asyncio.Event()
    task = asyncio.create_task(waiting(table, session, held))
    await held.wait()
    entry = table.table._entries[session.id]
    assert entry.holding is not None
    entry.holding.part(Why.DRAINING, "")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_fork_stands_where_its_session_stands_and_counts_as_one() -> None:
    table = Table(max_sessions=2)
    session = table.open("alice", ttl_s=7)
    session.accept("digest", "{}", replace(NEW, input_position=3))
    fork = table.table.fork(session)
    assert (fork.owner, fork.ttl_s, fork.standing) == ("alice", 7, session.standing)
    assert (fork.id != session.id, fork.log.next_turn, len(table.table)) == (True, 1, 2)
    with pytest.raises(Overloaded):
        table.table.fork(session)


async def test_a_stream_that_fails_lets_go_of_its_session() -> None:
    table = Table()
    session = table.open()
    with pytest.raises(RuntimeError):
        async with table.table.hold("", session.id):
            raise RuntimeError
    assert await table.exists(session)


async def test_another_owner_is_told_the_same_as_if_there_were_none() -> None:
    table = Table()
    session = table.open("alice")
    messages = []
    for session_id in (session.id, "no-such-id"):
        with pytest.raises(SessionNotFound) as refused:
            async with table.table.hold("bob", session_id):
                pass
        messages.append(str(refused.value))
    assert messages[0] == messages[1]
    assert await table.exists(session, "alice")


async def test_another_owner_cannot_take_over_a_held_session() -> None:
    table = Table()
    session = table.open("alice")
    async with table.table.hold("alice", session.id) as holding:
        with pytest.raises(SessionNotFound):
            async with table.table.hold("bob", session.id):
                pass
        with holding.giving_way():
            await asyncio.sleep(0)


async def test_a_closed_session_is_gone() -> None:
    table = Table()
    session = table.open()
    table.table.close(session)
    table.table.close(session)
    assert not await table.exists(session)
    assert len(table.table) == 0


async def test_a_session_that_nobody_holds_is_forgotten_after_its_time() -> None:
    table = Table(default_ttl_s=10)
    session = table.open()
    table.clock.now += 9.9
    assert await table.exists(session)
    table.clock.now += 9.9
    assert await table.exists(session)
    table.clock.now += 10
    assert not await table.exists(session)
    assert table.table.expire() == 1
    assert len(table.table) == 0


async def test_a_held_session_lives_on() -> None:
    table = Table(default_ttl_s=10)
    session = table.open()
    async with table.table.hold("", session.id):
        table.clock.now += 1000
        assert table.table.expire() == 0
    table.clock.now += 9
    assert await table.exists(session)


async def test_a_session_may_ask_for_its_own_time() -> None:
    table = Table(default_ttl_s=10, max_ttl_s=100)
    session = table.open(ttl_s=100)
    table.clock.now += 99
    assert table.table.expire() == 0
    assert await table.exists(session)


@pytest.mark.parametrize("ttl_s", [0, -1, 100.1, float("nan"), float("inf")])
def test_a_time_to_live_has_bounds(ttl_s: float) -> None:
    with pytest.raises(InvalidInput, match="more than 0 and at most 100 seconds") as refused:
        Table(max_ttl_s=100).open(ttl_s=ttl_s)
    assert refused.value.field == "open.ttl"


def test_a_full_table_says_when_there_will_be_room() -> None:
    table = Table(max_sessions=2, default_ttl_s=30)
    table.open()
    table.clock.now += 10
    table.open()
    with pytest.raises(Overloaded, match="all 2 sessions") as refused:
        table.open()
    assert refused.value.retry_after_s == 20
    table.clock.now += 20
    table.open()
    assert len(table.table) == 2


def test_one_owner_cannot_take_the_room_of_all() -> None:
    table = Table(max_sessions_per_owner=1)
    first = table.open("alice")
    table.open("bob")
    with pytest.raises(Overloaded, match="you have 1 sessions, which is the limit"):
        table.open("alice")
    table.table.close(first)
    table.open("alice")


async def test_a_table_full_of_held_sessions_still_answers() -> None:
    table = Table(max_sessions=1)
    session = table.open()
    async with table.table.hold("", session.id):
        with pytest.raises(Overloaded) as refused:
            table.open()
    assert refused.value.retry_after_s == 1
