"""Sessions over the wire: what survives a broken stream, and what two streams may not do."""

import asyncio

import grpc
import pytest
from google.protobuf import duration_pb2

from seqserve.v1 import session_pb2
from tests.fakes.toy_server import Toys, serve_toys
from tests.fakes.toy_translator import translated
from tests.fakes.wire import Talk, model, refused, talking


async def test_a_whole_conversation(toys: Toys) -> None:
    async with talking(toys, ttl=duration_pb2.Duration(seconds=7)) as (talk, opened):
        assert (opened.model.name, opened.ttl.seconds, opened.input_position) == ("toy-es-en", 7, 0)
        assert (await talk.feed("uno do")).input_position == 1
        assert (await talk.feed("s tres")).input_position == 2
        outputs = await talk.generate()
        assert "".join(token.piece for output in outputs for token in output.tokens) == "one two three"
        assert (outputs[-1].input_position, outputs[-1].output_position) == (3, 3)
        assert outputs[-1].hypotheses[0].text == "one two three"
        closed = await talk.say(close=session_pb2.Close())
        assert (closed.input_position, closed.output_position) == (3, 3)
        assert await talk.call.read() is grpc.aio.EOF
        assert await talk.call.code() is grpc.StatusCode.OK
    answer = await refused(
        Talk(toys.sequence.Session()).say(resume=session_pb2.Resume(session_id=opened.session_id))
    )
    assert answer.code is grpc.StatusCode.NOT_FOUND


async def test_a_classifier_labels_word_by_word(toys: Toys) -> None:
    async with talking(toys, "toy-intents") as (talk, _):
        assert list((await talk.feed("uno")).labels) == []
        output = await talk.feed(" dos")
        assert [score.label for score in output.labels] == ["play", "stop", "ask"]
        output = await talk.feed("", end_of_input=True)
        assert output.labels[0].label == "ask"


async def test_requests_sent_ahead_are_worked_off_in_order(toys: Toys) -> None:
    requests = [session_pb2.SessionRequest(open=session_pb2.Open(model=model()))]
    for text in ("uno dos", "tres", "cuatro"):
        requests += [
            session_pb2.SessionRequest(feed=session_pb2.Feed(text=text)),
            session_pb2.SessionRequest(generate=session_pb2.Generate()),
        ]
    answers = [answer async for answer in toys.sequence.Session(iter(requests))]
    texts = [answer.output.hypotheses[0].text for answer in answers if answer.output.hypotheses]
    assert texts == ["one two", "three", "four"]


async def test_a_session_goes_on_after_its_stream_ended(toys: Toys) -> None:
    async with talking(toys) as (talk, opened):
        await talk.feed("uno dos tr")
        await talk.leave()
    async with talking(toys, session_id=opened.session_id) as (talk, resumed):
        assert (resumed.session_id, resumed.input_position) == (opened.session_id, 2)
        await talk.feed("es")
        assert (await talk.generate())[-1].hypotheses[0].text == "one two three"


async def test_a_session_goes_on_after_its_stream_broke(toys: Toys) -> None:
    engine = toys.engine()
    async with talking(toys) as (talk, opened):
        await talk.feed("uno dos tres cuatro")
        engine.hold()
        engine.let(3)  # the last word is read, two are written
        await talk.call.write(session_pb2.SessionRequest(generate=session_pb2.Generate()))
        assert (await talk.hear()).tokens[0].piece == "one"
        talk.call.cancel()
    engine.let_go()
    await until_free(toys, opened.session_id)
    async with talking(toys, session_id=opened.session_id) as (talk, resumed):
        assert (resumed.input_position, resumed.output_position) == (3, 0)
        assert (await talk.generate())[-1].hypotheses[0].text == "one two three four"


async def test_a_session_goes_on_after_a_bad_request_ended_its_stream(toys: Toys) -> None:
    async with talking(toys) as (talk, opened):
        await talk.feed("uno dos ")
        answer = await refused(talk.feed("diez "))
        assert answer.code is grpc.StatusCode.INTERNAL
    async with talking(toys, session_id=opened.session_id) as (talk, resumed):
        assert resumed.input_position == 2
        assert (await talk.generate())[-1].hypotheses[0].text == "one two"


async def test_a_second_stream_on_a_session_is_sent_away(toys: Toys) -> None:
    async with talking(toys) as (talk, opened):
        await talk.feed("uno ")
        answer = await refused(
            Talk(toys.sequence.Session()).say(resume=session_pb2.Resume(session_id=opened.session_id))
        )
        assert (answer.code, answer.reason) == (grpc.StatusCode.ABORTED, "SESSION_BUSY")
        await talk.feed("dos ")
        assert (await talk.generate())[-1].hypotheses[0].text == "one two"


async def test_interleaved_sessions_are_each_as_alone(toys: Toys) -> None:
    texts = ["uno dos tres", "cuatro cinco", "seis siete ocho nueve"] * 4

    async def talk_alone(text: str) -> str:
        async with talking(toys) as (talk, _):
            for letter in text:
                await talk.feed(letter)
            output: str = (await talk.generate())[-1].hypotheses[0].text
            return output

    assert await asyncio.gather(*map(talk_alone, texts)) == [translated(text) for text in texts]


async def test_sessions_are_counted(toys: Toys) -> None:
    async with talking(toys), talking(toys, "toy-intents"):
        assert toys.server.metrics.registry.get_sample_value("seqserve_sessions_active") == 2


async def test_a_full_server_says_when_to_come_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    models = tmp_path_factory.mktemp("full")
    async with serve_toys(models, sessions={"max_sessions": 1}) as toys, talking(toys) as (talk, _):
        answer = await refused(Talk(toys.sequence.Session()).say(open=session_pb2.Open(model=model())))
        assert (answer.code, answer.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        await talk.say(close=session_pb2.Close())
        async with talking(toys):
            pass


async def test_a_stream_without_a_request_ends_well(toys: Toys) -> None:
    call = toys.sequence.Session(iter([]))
    assert [answer async for answer in call] == []
    assert await call.code() is grpc.StatusCode.OK


async def until_free(toys: Toys, session_id: str) -> None:
    while toys.server.sessions._entries[session_id].held:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.001)
