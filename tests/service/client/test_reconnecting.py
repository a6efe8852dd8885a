"""Streams that break, servers that crash: nothing is lost, nothing is done or given out twice."""

from collections.abc import Iterator

import grpc
import pytest

from seqserve.v1.session_pb2 import SessionRequest
from service.client import (
    Client,
    ClientError,
    DeadlineExceeded,
    Reconnecting,
    Resumed,
    SessionLost,
    SessionNotFound,
    Unavailable,
    talk,
)
from service.client.errors import TURNED_AWAY
from tests.fakes.failures import Failure, because, cut
from tests.fakes.fake_service import FakeService
from tests.service.client.conftest import MULTIPLEXED, Connect

pytestmark = MULTIPLEXED

EVENTS = list[Reconnecting | Resumed]


@pytest.fixture
def events() -> EVENTS:
    return []


@pytest.fixture
def client(address: str, connect: Connect, events: EVENTS) -> Iterator[Client]:
    with connect(address, timeout=20, patience=20.0, watch=events.append) as client:
        yield client


def kinds(fake: FakeService) -> list[str | None]:
    return [one.WhichOneof("request") for one in fake.requests if isinstance(one, SessionRequest)]


@pytest.mark.parametrize("durability", ["every step", "every 3 steps"])
@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("end", ["cut", "crash"])
def test_a_break_anywhere_changes_no_answer(
    client: Client, fake: FakeService, durability: str, place: int, end: str
) -> None:
    with client.session(durability=durability) as session:
        fake.sessions.plan.extend(["ok"] * place + [end])
        assert [session.feed(word).input_position for word in ("uno ", "dos ", "tres ")] == [1, 2, 3]
        stream = session.generate()
        assert [token.piece for token in stream] == ["UNO", " DOS", " TRES"]
        assert stream.result.text == "UNO DOS TRES"
        assert (session.output_position, session.num_turns) == (3, 4)


def test_an_answer_that_was_lost_is_asked_for_again_and_not_run_twice(
    client: Client, fake: FakeService, events: EVENTS
) -> None:
    with client.session() as session:
        session.feed("uno ")
        fake.sessions.plan.append("cut")
        assert session.feed("dos ").input_position == 2
        assert (fake.sessions.num_run, fake.sessions.num_answered_again) == (2, 1)
    assert kinds(fake) == ["open", "feed", "feed", "resume", "feed", "close"]
    begun, done = events
    assert isinstance(begun, Reconnecting)
    assert isinstance(begun.error, Unavailable)
    assert isinstance(done, Resumed)
    assert (done.attempts, done.num_replayed, done.answered_again) == (1, 0, True)


def test_a_crash_gets_back_what_was_not_written_down(
    client: Client, fake: FakeService, events: EVENTS
) -> None:
    with client.session(durability="every 3 steps") as session:
        for word in ("a ", "b ", "c ", "d "):
            session.feed(word)
        assert session.durable_turn == 3
        fake.sessions.plan.append("crash")
        assert session.feed("e ").input_position == 5
        done = events[-1]
        assert isinstance(done, Resumed)
        assert (done.num_replayed, done.answered_again) == (1, False)


def test_crashes_while_the_lost_turns_are_sent_again(client: Client, fake: FakeService) -> None:
    with client.session(durability="every 8 steps") as session:
        for word in ("a ", "b ", "c "):
            session.feed(word)
        fake.sessions.plan.extend(["crash", "ok", "crash", "ok", "ok", "cut", "crash"])
        assert session.feed("d ").input_position == 4
        assert session.generate().finish().text == "A B C D"


def test_a_session_that_is_not_written_down_is_lost_with_its_server(
    client: Client, fake: FakeService
) -> None:
    session = client.session(durability="none")
    session.feed("uno dos ")
    fake.sessions.plan.append("crash")
    with pytest.raises(SessionLost, match=r"not to be written down.*1 turns, 2 inputs") as lost:
        session.feed("tres ")
    assert isinstance(lost.value, SessionNotFound)
    session.detach()


def test_a_session_that_was_written_down_in_vain_begins_again_from_what_is_kept(
    client: Client, fake: FakeService
) -> None:
    with client.session(durability="every 8 steps") as session:
        session.feed("uno ")
        before = session.session_id
        fake.sessions.plan.append("crash")
        fake.sessions.store.clear()
        assert session.feed("dos ").input_position == 2
        assert session.session_id == before  # a new one, that the fake calls by the same name
        assert kinds(fake)[-4:] == ["resume", "open", "feed", "feed"]


def test_a_store_that_has_forgotten_all_is_a_loss(client: Client, fake: FakeService) -> None:
    session = client.session(durability="every step")
    session.feed("uno ")
    session.detach()
    fake.sessions.crash()
    fake.sessions.store.clear()
    with pytest.raises(SessionLost, match="the store does not know it"):
        session.feed("dos ")


def test_the_server_is_looked_for_until_patience_ends(
    address: str, connect: Connect, fake: FakeService
) -> None:
    with connect(address, timeout=20, patience=0.3) as client:
        session = client.session()
        session.feed("uno ")
        session.detach()
        fake.failures = [cut()] * 50
        with pytest.raises(Unavailable):
            session.feed("dos ")
        fake.failures = []
        assert session.feed("dos ").input_position == 2
        session.detach()


def test_who_is_turned_away_opens_a_session_later_where_a_broken_way_is_given_up(
    address: str, connect: Connect, fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(talk, "MAX_OPEN_S", 0.0)
    with connect(address, timeout=20, patience=20.0) as client:
        fake.failures = [Failure(grpc.StatusCode.CANCELLED, TURNED_AWAY)] * 4
        session = client.session()
        assert session.feed("uno ").input_position == 1
        session.detach()
        fake.failures = [cut()] * 4
        with pytest.raises(Unavailable):
            client.session().feed("uno ")


def test_a_late_answer_is_not_doubled_by_the_same_request(client: Client, fake: FakeService) -> None:
    with client.session() as session:
        fake.gate.clear()
        with pytest.raises(DeadlineExceeded):
            session.feed("uno ", timeout=0.3)
        fake.gate.set()
        assert session.feed("uno ").input_position == 1
        assert session.feed("uno ").input_position == 2


def test_a_cancelled_output_can_be_gone_on_with_or_given_up(client: Client) -> None:
    with client.session() as session:
        session.feed("uno dos ")
        with session.generate() as stream:
            next(stream)
        assert session.generate().finish().text == "UNO DOS"
        session.feed("tres ")
        with session.generate() as stream:
            next(stream)
        assert session.feed("cuatro ").input_position == 4


def test_another_turn_in_its_place_is_an_error_of_the_request(client: Client, fake: FakeService) -> None:
    with client.session() as session:
        fake.failures = [Failure(grpc.StatusCode.ABORTED, "another request", [because("TURN_CONFLICT")])]
        with pytest.raises(ClientError):
            session.feed("uno ")
        assert session.feed("dos ").input_position == 1


def test_going_back_and_forking(client: Client) -> None:
    with client.session() as session:
        session.feed("uno ")
        here = session.num_turns - 1
        session.feed("dos ")
        with session.fork() as other:
            session.rewind(here)
            assert (session.input_position, session.num_turns) == (1, 3)
            assert other.feed("tres ").input_position == 3
            assert session.feed("cuatro ").input_position == 2
        session.keep_alive()
        session.rewind(-1)
        assert session.input_position == 0


def test_more_than_can_be_kept_is_written_down_first(client: Client, fake: FakeService) -> None:
    with client.session(durability="every 1000 steps") as session:
        session._replay._max_turns = 4
        for _ in range(6):
            session.feed("a ")
        assert session.durable_turn == 4
        assert kinds(fake).count("snapshot") == 1
