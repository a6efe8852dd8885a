import grpc
import pytest

from seqserve.v1.session_pb2 import SessionRequest
from service.client import Client, DeadlineExceeded, InvalidRequest, NotPossible, SessionNotFound, exchange
from tests.fakes.failures import REFUSED, Failure, because, not_found
from tests.fakes.fake_service import FakeService
from tests.service.client.conftest import MULTIPLEXED, Connect

pytestmark = MULTIPLEXED


def kinds(fake: FakeService) -> list[str | None]:
    return [one.WhichOneof("request") for one in fake.requests if isinstance(one, SessionRequest)]


def test_a_session_labels_the_text_so_far(client: Client) -> None:
    with client.session(model="questions") as session:
        assert session.feed("hello wor").input_position == 1
        output = session.feed("ld?", end_of_input=True)
        assert (output.label, output.probability, output.input_position) == ("question", 0.75, 2)
        assert session.input_position == 2


def test_what_opens_a_session_is_told_to_the_server(client: Client, fake: FakeService) -> None:
    with client.session(model="questions", version="1", ttl_s=1.5) as session:
        assert session.session_id == "session-1"
        assert str(session.model) == "questions/1"
        assert session.ttl_s == 300
    opening = fake.requests[0]
    assert isinstance(opening, SessionRequest)
    assert (opening.open.model.name, opening.open.model.version) == ("questions", "1")
    assert opening.open.ttl.ToTimedelta().total_seconds() == 1.5


def test_no_label_is_there_before_a_whole_word(client: Client) -> None:
    with client.session() as session:
        output = session.feed("hel")
        assert (output.label, output.probability, output.labels) == ("", 0.0, ())


def test_a_session_writes_after_it_has_read(client: Client) -> None:
    with client.session() as session:
        session.feed("uno dos ")
        stream = session.generate()
        assert [token.piece for token in stream] == ["UNO", " DOS"]
        assert stream.result.text == "UNO DOS"
        assert session.output_position == 2
        assert session.feed("tres ").input_position == 3


def test_a_session_that_writes_takes_nothing_else(client: Client) -> None:
    with client.session() as session:
        session.feed("uno dos ")
        stream = session.generate()
        next(stream)
        with pytest.raises(NotPossible, match="still writing"):
            session.feed("tres ")
        stream.cancel()
        assert session.feed("cuatro ").input_position == 3


def test_leaving_the_block_closes_the_session_on_the_server(client: Client, fake: FakeService) -> None:
    with client.session():
        assert fake.sessions
    assert not fake.sessions
    assert kinds(fake) == ["open", "close"]


def test_a_session_is_closed_though_its_server_does_not_end_the_stream(
    client: Client, fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "LAST_WORD_S", 0.1)
    fake.ends.clear()
    with client.session() as session:
        pass
    assert session.closed
    assert fake.lingering == 1


def test_a_closed_session_says_so(client: Client) -> None:
    session = client.session()
    session.close()
    session.close()
    with pytest.raises(NotPossible, match="closed"):
        session.feed("a ")


def test_a_left_session_can_be_taken_up_again(client: Client, fake: FakeService) -> None:
    session = client.session()
    session.feed("uno ")
    session.detach()
    resumed = client.resume(session.session_id)
    assert resumed.input_position == 1
    assert resumed.feed("dos ").input_position == 2
    resumed.close()


def test_a_refused_feed_ends_the_stream_but_not_the_session(client: Client, fake: FakeService) -> None:
    with client.session() as session:
        session.feed("uno ")
        with pytest.raises(InvalidRequest) as caught:
            session.feed(REFUSED)
        assert caught.value.field == "feed.text"
        assert session.feed("dos ").input_position == 2
    assert kinds(fake) == ["open", "feed", "feed", "resume", "feed", "close"]


def test_a_late_answer_leaves_the_session_to_be_taken_up_again(client: Client, fake: FakeService) -> None:
    with client.session() as session:
        fake.gate.clear()
        with pytest.raises(DeadlineExceeded, match="can be resumed"):
            session.feed("uno ", timeout=0.2)
        fake.gate.set()
        session.feed("dos ", timeout=20)


def test_a_session_that_is_held_is_waited_for_a_moment(client: Client, fake: FakeService) -> None:
    session = client.session()
    session.detach()
    busy = Failure(grpc.StatusCode.ABORTED, "another stream holds it", [because("SESSION_BUSY")])
    fake.failures = [busy, busy]
    assert session.feed("uno ").input_position == 1
    session.close()


def test_an_unknown_session_is_not_found(client: Client) -> None:
    with pytest.raises(SessionNotFound) as caught:
        client.resume("nobody's").feed("a ")
    assert caught.value.name == "nobody's"


def test_a_block_ends_quietly_where_the_session_is_gone(client: Client, fake: FakeService) -> None:
    with client.session() as session:
        session.feed("uno ")
        fake.sessions.clear()
        fake.failures = [not_found("session", session.session_id)]


def test_two_sessions_of_one_client_do_not_mix(address: str, connect: Connect) -> None:
    with connect(address) as client, client.session() as one, client.session() as other:
        one.feed("is it? ")
        assert other.feed("it is ").label == "statement"
        assert one.feed("so ").label == "question"


def test_one_server_holds_many_sessions_of_one_client(client: Client, fake: FakeService) -> None:
    """Where chance sends all sessions of one client to one of its servers, that one has to hold them."""
    open_ones = [client.session() for _ in range(24)]
    assert len(fake.sessions) == len(open_ones)
