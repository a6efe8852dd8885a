import pytest

from service.config import SessionSettings
from service.errors import InvalidInput, Overloaded, SessionBusy, SessionNotFound
from service.registry import Served
from service.sessions import Session, SessionTable

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

    def exists(self, session: Session, owner: str = "") -> bool:
        try:
            with self.table.hold(owner, session.id) as held:
                return held is session
        except SessionNotFound:
            return False


def test_ids_are_long_and_never_the_same() -> None:
    table = Table()
    ids = {table.open().id for _ in range(100)}
    assert len(ids) == 100
    assert all(len(each) >= 22 for each in ids)


def test_a_session_is_held_by_at_most_one_stream() -> None:
    table = Table()
    session = table.open()
    with table.table.hold("", session.id):
        with pytest.raises(SessionBusy), table.table.hold("", session.id):
            pass
        with pytest.raises(SessionBusy), table.table.hold("", session.id):
            pass
    assert table.exists(session)


def test_a_stream_that_fails_lets_go_of_its_session() -> None:
    table = Table()
    session = table.open()
    with pytest.raises(RuntimeError), table.table.hold("", session.id):
        raise RuntimeError
    assert table.exists(session)


def test_another_owner_is_told_the_same_as_if_there_were_none() -> None:
    table = Table()
    session = table.open("alice")
    with pytest.raises(SessionNotFound) as of_another, table.table.hold("bob", session.id):
        pass
    with pytest.raises(SessionNotFound) as of_nobody, table.table.hold("bob", "no-such-id"):
        pass
    assert str(of_another.value) == str(of_nobody.value)
    assert table.exists(session, "alice")


def test_a_held_session_of_another_owner_is_not_found_either() -> None:
    table = Table()
    session = table.open("alice")
    with (
        table.table.hold("alice", session.id),
        pytest.raises(SessionNotFound),
        table.table.hold("bob", session.id),
    ):
        pass


def test_a_closed_session_is_gone() -> None:
    table = Table()
    session = table.open()
    table.table.close(session)
    table.table.close(session)
    assert not table.exists(session)
    assert len(table.table) == 0


def test_a_session_that_nobody_holds_is_forgotten_after_its_time() -> None:
    table = Table(default_ttl_s=10)
    session = table.open()
    table.clock.now += 9.9
    assert table.exists(session)
    table.clock.now += 9.9
    assert table.exists(session)
    table.clock.now += 10
    assert not table.exists(session)
    assert table.table.expire() == 1
    assert len(table.table) == 0


def test_a_held_session_lives_on() -> None:
    table = Table(default_ttl_s=10)
    session = table.open()
    with table.table.hold("", session.id):
        table.clock.now += 1000
        assert table.table.expire() == 0
    table.clock.now += 9
    assert table.exists(session)


def test_a_session_may_ask_for_its_own_time() -> None:
    table = Table(default_ttl_s=10, max_ttl_s=100)
    session = table.open(ttl_s=100)
    table.clock.now += 99
    assert table.table.expire() == 0
    assert table.exists(session)


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


def test_a_table_full_of_held_sessions_still_answers() -> None:
    table = Table(max_sessions=1)
    session = table.open()
    with table.table.hold("", session.id), pytest.raises(Overloaded) as refused:
        table.open()
    assert refused.value.retry_after_s == 1
