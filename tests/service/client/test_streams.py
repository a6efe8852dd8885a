import pytest

from seqserve.v1.sequence_pb2 import StreamTranslateRequest
from service.client import Client, DeadlineExceeded, InvalidRequest, TokenStream
from tests.fakes.failures import REFUSED
from tests.fakes.fake_service import FakeService
from tests.service.client.conftest import MULTIPLEXED

pytestmark = MULTIPLEXED


def test_tokens_come_one_by_one_and_the_result_afterwards(client: Client) -> None:
    stream = client.stream_translate("uno dos tres", source="es", target="en")
    assert [token.piece for token in stream] == ["UNO", " DOS", " TRES"]
    assert stream.text == stream.result.text == "UNO DOS TRES"
    assert str(stream.result.model) == "capitals/2"


def test_the_result_is_not_there_before_the_end(client: Client) -> None:
    stream = client.stream_translate("uno dos")
    assert next(stream).piece == "UNO"
    with pytest.raises(RuntimeError, match="has not ended"):
        _ = stream.result
    assert stream.finish().text == "UNO DOS"


def test_streams_are_greedy_unless_a_beam_is_asked_for(client: Client, fake: FakeService) -> None:
    client.stream_translate("a").finish()
    client.stream_translate("a", beam_size=4).finish()
    asked = [one.options.beam_size for one in fake.requests if isinstance(one, StreamTranslateRequest)]
    assert asked == [1, 4]


def test_leaving_a_stream_frees_the_server(client: Client, fake: FakeService) -> None:
    with client.stream_translate("uno dos tres") as stream:
        next(stream)
        fake.gate.clear()
    assert fake.cancelled.wait(10)


def test_a_refused_text_is_an_error_of_the_first_read(client: Client) -> None:
    stream: TokenStream = client.stream_translate(REFUSED)
    with pytest.raises(InvalidRequest) as caught:
        stream.finish()
    assert caught.value.field == "text"


def test_a_late_answer_is_a_deadline_exceeded(client: Client, fake: FakeService) -> None:
    fake.gate.clear()
    with pytest.raises(DeadlineExceeded, match="within the time given"):
        client.stream_translate("a", timeout=0.2).finish()
    with pytest.raises(DeadlineExceeded):
        client.translate("a", timeout=0.2)
