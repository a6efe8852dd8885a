import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from itertools import count, islice

import grpc
import pytest

from seqserve.v1.decoding_pb2 import TOO_LONG_REFUSE, TOO_LONG_TRUNCATE
from seqserve.v1.sequence_pb2 import ClassifyRequest, TranslateRequest
from service.client import (
    AsyncClient,
    Client,
    ClientError,
    InvalidRequest,
    NotPossible,
    Overloaded,
    Translation,
    Unavailable,
)
from tests.fakes.failures import REFUSED, Failure, because, overloaded
from tests.fakes.fake_service import FakeService
from tests.service.client.conftest import Connect


def requests_of(fake: FakeService) -> list[TranslateRequest]:
    return [request for request in fake.requests if isinstance(request, TranslateRequest)]


def until_error(answers: Iterator[Translation]) -> tuple[list[str], Exception | None]:
    seen = []
    try:
        for one in answers:
            seen.append(one.text)  # noqa: PERF401 - what came before the error counts
    except Exception as error:
        return seen, error
    return seen, None


def test_one_text_gives_one_translation(client: Client) -> None:
    translation = client.translate("hola mundo", source="es", target="en")
    assert translation.text == str(translation) == "HOLA MUNDO"
    assert [token.piece for token in translation.tokens] == ["HOLA", " MUNDO"]
    assert (translation.score, translation.finish_reason) == (-1.0, "end")
    assert str(translation.model) == "capitals/2"
    assert translation.num_source_tokens == 2


def test_a_list_gives_a_list_in_order_split_into_requests(client: Client, fake: FakeService) -> None:
    texts = [f"text {number}" for number in range(10)]
    assert [one.text for one in client.translate(texts)] == [text.upper() for text in texts]
    assert max(len(request.texts) for request in requests_of(fake)) <= 3


def test_no_texts_need_no_request(client: Client, fake: FakeService) -> None:
    assert client.translate([]) == []
    assert not fake.requests


def test_options_reach_the_wire_and_what_is_left_out_does_not(client: Client, fake: FakeService) -> None:
    client.translate("a", source="es", target="en", model="capitals", version="2", beam_size=5, max_length=9)
    client.translate("a", beam_size=None, truncate=True)
    full, bare = requests_of(fake)
    assert (full.model.source_language, full.model.target_language) == ("es", "en")
    assert (full.model.name, full.model.version) == ("capitals", "2")
    assert (full.options.beam_size, full.options.max_length) == (5, 9)
    assert not full.options.HasField("length_penalty")
    assert not bare.options.HasField("beam_size")
    assert (full.too_long, bare.too_long) == (TOO_LONG_REFUSE, TOO_LONG_TRUNCATE)


def test_texts_are_labelled(client: Client, fake: FakeService) -> None:
    assert client.classify("is it?").label == "question"
    assert [str(one) for one in client.classify(["is it?", "it is"], num_labels=1)] == [
        "question",
        "statement",
    ]
    assert client.classify("it is").probability == 0.75
    assert [one.num_labels for one in fake.requests if isinstance(one, ClassifyRequest)][:2] == [0, 1]


def test_models_are_plain_values(client: Client) -> None:
    translator, classifier = client.models()
    assert (translator.name, translator.task, translator.beam_size) == ("capitals", "translate", 4)
    assert translator.why_not_streaming
    assert classifier.labels == ("question", "statement")
    assert client.models("classify") == [classifier]
    assert client.model("capitals") == translator


def test_an_unknown_task_is_refused_with_the_choices(client: Client) -> None:
    with pytest.raises(InvalidRequest, match="translate, classify"):
        client.models("dance")


def test_answers_come_while_the_source_still_waits(address: str) -> None:
    answered = threading.Semaphore(1)

    def asks_only_after_the_last_answer() -> Iterator[str]:
        for number in range(3):
            assert answered.acquire(timeout=10)
            yield f"text {number}"

    with Client(address) as client:
        answers = client.translate_many(asks_only_after_the_last_answer())
        for number in range(3):
            assert next(answers).text == f"TEXT {number}"
            answered.release()


async def test_answers_come_while_the_async_source_still_waits(address: str) -> None:
    answered = asyncio.Semaphore(1)

    async def asks_only_after_the_last_answer() -> AsyncIterator[str]:
        for number in range(3):
            await asyncio.wait_for(answered.acquire(), 10)
            yield f"text {number}"

    async with AsyncClient(address) as client:
        answers = client.translate_many(asks_only_after_the_last_answer())
        for number in range(3):
            assert (await anext(answers)).text == f"TEXT {number}"
            answered.release()


def test_a_source_without_end_is_read_only_as_far_as_needed(client: Client, fake: FakeService) -> None:
    drawn = count()
    endless = (f"text {number}" for number in drawn)
    answers = client.translate_many(endless)
    assert [one.text for one in islice(answers, 7)] == [f"TEXT {number}" for number in range(7)]
    answers.close()  # type: ignore[attr-defined]
    assert sum(len(request.texts) for request in requests_of(fake)) <= 7 + 3 * 3
    assert next(drawn) <= 7 + 3 * 3 + 3 + 1


def test_only_so_many_requests_are_under_way_at_once(client: Client, fake: FakeService) -> None:
    client.translate([f"text {number}" for number in range(40)])
    assert fake.most_under_way <= 2


def test_a_refused_text_is_named_by_its_place_in_the_whole_list(client: Client) -> None:
    texts = ["a", "b", "c", "d", f"e {REFUSED}", "f", "g"]
    seen, error = until_error(client.translate_many(texts))
    assert seen == ["A", "B", "C", "D"]
    assert isinstance(error, InvalidRequest)
    assert error.field == "texts[4]"
    assert str(error).startswith("texts[4] ")


def test_an_error_of_the_source_comes_after_the_answers_to_what_came_before_it(client: Client) -> None:
    def breaking() -> Iterator[str]:
        yield from ("a", "b", "c", "d")
        raise LookupError("no more")

    seen, error = until_error(client.translate_many(breaking()))
    assert seen == ["A", "B", "C", "D"]
    assert isinstance(error, LookupError)


def test_a_lone_surrogate_is_refused_before_anything_is_sent(client: Client, fake: FakeService) -> None:
    with pytest.raises(InvalidRequest, match="lone surrogate at character 3") as caught:
        client.translate("ab\ud800")
    assert caught.value.field == "texts[0]"
    with pytest.raises(InvalidRequest):
        client.classify(["fine", "\udfff"])
    assert all("\ud800" not in text for request in requests_of(fake) for text in request.texts)


def test_a_number_that_no_message_can_hold_is_refused_by_name(client: Client) -> None:
    with pytest.raises(InvalidRequest) as caught:
        client.translate("a", beam_size=10**12)
    assert caught.value.field == "options.beam_size"


def test_a_long_list_waits_for_room_on_a_full_server(client: Client, fake: FakeService) -> None:
    fake.failures = [overloaded(0.01), overloaded(0.01)]
    assert [one.text for one in client.translate(["a", "b", "c", "d"])] == ["A", "B", "C", "D"]


def test_a_single_text_tells_of_a_full_server_at_once(client: Client, fake: FakeService) -> None:
    fake.failures = [overloaded(0.25)]
    with pytest.raises(Overloaded) as caught:
        client.translate("a")
    assert caught.value.retry_after_s == 0.25


def test_a_server_that_is_going_away_is_asked_again(client: Client, fake: FakeService) -> None:
    draining = Failure(grpc.StatusCode.UNAVAILABLE, "draining", [because("DRAINING")])
    fake.failures = [draining, draining]
    assert client.translate("a").text == "A"


def test_how_often_it_is_asked_is_a_setting(address: str, fake: FakeService, connect: Connect) -> None:
    draining = Failure(grpc.StatusCode.UNAVAILABLE, "draining", [because("DRAINING")])
    fake.failures = [draining]
    with connect(address, max_attempts=1) as client, pytest.raises(Unavailable, match="draining"):
        client.translate("a")
    assert len(fake.requests) == 1


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_nothing_else_is_sent_twice(client: Client, fake: FakeService, code: grpc.StatusCode) -> None:
    fake.failures = [Failure(code)]
    with pytest.raises(ClientError):
        client.translate("a")
    assert len(fake.requests) == 1


def test_a_closed_client_says_so(address: str, connect: Connect) -> None:
    client = connect(address)
    client.close()
    with pytest.raises(NotPossible, match="closed"):
        client.translate("a")
