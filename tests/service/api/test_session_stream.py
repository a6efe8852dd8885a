"""Sessions over the wire: what survives a broken stream, and what two streams may not do."""

import asyncio

import grpc
import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2

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


async def test_a_generate_goes_on_after_its_stream_broke(toys: Toys) -> None:
    opened = await broken_after_two_words(toys)
    async with talking(toys, session_id=opened.session_id) as (talk, resumed):
        assert (resumed.input_position, resumed.output_position, resumed.next_turn) == (3, 0, 1)
        outputs = await talk.generate()
        assert "".join(token.piece for output in outputs for token in output.tokens) == "one two three four"
        assert outputs[-1].hypotheses[0].text == "one two three four"
    assert toys.engine().rows["step"] <= 5 + 1, "only the step that was cut off may run again"


async def test_a_generate_goes_on_from_an_output_position(toys: Toys) -> None:
    opened = await broken_after_two_words(toys)
    async with talking(toys, session_id=opened.session_id) as (talk, _):
        outputs = await talk.generate(turn=1, output_position=1)
        assert "".join(token.piece for output in outputs for token in output.tokens) == " two three four"
        assert (outputs[-1].output_position, outputs[-1].hypotheses[0].text) == (4, "one two three four")
        again = await talk.generate(turn=1, output_position=2)
        assert [token.piece for output in again for token in output.tokens] == [" three", " four"]
        assert again[-1].hypotheses == outputs[-1].hypotheses


async def test_what_was_begun_is_not_replaced_by_another_request_with_its_turn(toys: Toys) -> None:
    opened = await broken_after_two_words(toys)
    async with talking(toys, session_id=opened.session_id) as (talk, _):
        answer = await refused(talk.feed("cinco ", turn=1))
        assert (answer.code, answer.reason) == (grpc.StatusCode.ABORTED, "TURN_CONFLICT")
        assert answer.detail(error_details_pb2.ErrorInfo).metadata["next_turn"] == "1"
    async with talking(toys, session_id=opened.session_id) as (talk, _):
        await talk.feed(" cinco")
        assert (await talk.generate())[-1].hypotheses[0].text == "one two three four five"


async def broken_after_two_words(toys: Toys) -> session_pb2.Opened:
    """A session whose generate, its turn 1, broke after two of four words were written."""
    engine = toys.engine()
    async with talking(toys) as (talk, opened):
        await talk.feed("uno dos tres cuatro")
        engine.hold()
        engine.let(3)  # the last word is read, two are written
        await talk.call.write(session_pb2.SessionRequest(generate=session_pb2.Generate()))
        assert (await talk.hear()).tokens[0].piece == "one"
        await asyncio.to_thread(engine.running.wait)
        talk.call.cancel()
        await until_free(toys, opened.session_id)
    engine.let_go()
    return opened


async def test_a_request_that_comes_again_is_answered_and_not_run(toys: Toys) -> None:
    async with talking(toys, "toy-intents") as (talk, opened):
        first = await talk.feed("uno dos ", turn=0)
        rows = toys.engine("toy-intents").rows["classify"]
        assert await talk.feed("uno dos ", turn=0) == first
        assert toys.engine("toy-intents").rows["classify"] == rows
        answer = await refused(talk.feed("tres ", turn=0))
        assert (answer.code, answer.reason) == (grpc.StatusCode.ABORTED, "TURN_CONFLICT")
    async with talking(toys, session_id=opened.session_id) as (talk, resumed):
        assert resumed.next_turn == 1
        answer = await refused(talk.feed("tres ", turn=2))
        assert (answer.code, answer.field) == (grpc.StatusCode.OUT_OF_RANGE, "turn")
        assert answer.detail(error_details_pb2.ErrorInfo).metadata["next_turn"] == "1"


async def test_an_answer_says_its_turn(toys: Toys) -> None:
    async with talking(toys) as (talk, _):
        for turn in range(2):
            await talk.call.write(session_pb2.SessionRequest(feed=session_pb2.Feed(text="uno ")))
            assert (await talk.call.read()).turn == turn
        await talk.call.write(session_pb2.SessionRequest(keep_alive=session_pb2.KeepAlive()))
        answer = await talk.call.read()
        assert (answer.HasField("turn"), answer.kept_alive.ttl.seconds) == (False, 300)


async def test_going_back_to_where_a_turn_ended(toys: Toys) -> None:
    async with talking(toys) as (talk, _):
        for word in ("uno ", "dos ", "tres "):
            await talk.feed(word)
        rewound = await talk.say(rewind=session_pb2.Rewind(after_turn=1))
        assert (rewound.input_position, rewound.output_position) == (2, 0)
        assert (await talk.generate(turn=4))[-1].hypotheses[0].text == "one two"
        await talk.say(rewind=session_pb2.Rewind(after_turn=-1))
        await talk.feed("nueve")
        assert (await talk.generate())[-1].hypotheses[0].text == "nine"


async def test_a_turn_that_cannot_be_gone_back_to(toys: Toys) -> None:
    async with talking(toys) as (talk, _):
        await talk.feed("uno ")
        answer = await refused(talk.say(rewind=session_pb2.Rewind(after_turn=1)))
    assert (answer.code, answer.field) == (grpc.StatusCode.OUT_OF_RANGE, "rewind.after_turn")


async def test_forks_go_on_from_where_they_were_made(toys: Toys) -> None:
    async with talking(toys) as (talk, _):
        await talk.feed("uno do")
        forked = await talk.say(fork=session_pb2.Fork())
        await talk.feed("s tres")
        async with talking(toys, session_id=forked.session_id) as (other, opened):
            assert (opened.input_position, opened.next_turn) == (1, 1)
            await other.feed("s cuatro")
            assert (await other.generate())[-1].hypotheses[0].text == "one two four"
        assert (await talk.generate())[-1].hypotheses[0].text == "one two three"


async def test_a_negative_turn_is_refused(toys: Toys) -> None:
    async with talking(toys) as (talk, _):
        answer = await refused(talk.feed("uno ", turn=-1))
    assert (answer.code, answer.field) == (grpc.StatusCode.INVALID_ARGUMENT, "turn")


async def test_a_snapshot_without_a_store_is_refused(toys: Toys) -> None:
    async with talking(toys) as (talk, _):
        answer = await refused(talk.say(snapshot=session_pb2.Snapshot()))
    assert answer.code is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_session_goes_on_after_a_bad_request_ended_its_stream(toys: Toys) -> None:
    async with talking(toys) as (talk, opened):
        await talk.feed("uno dos ")
        answer = await refused(talk.feed("diez "))
        assert answer.code is grpc.StatusCode.INTERNAL
    async with talking(toys, session_id=opened.session_id) as (talk, resumed):
        assert resumed.input_position == 2
        assert (await talk.generate())[-1].hypotheses[0].text == "one two"


async def test_a_second_stream_takes_the_session_over(toys: Toys) -> None:
    async with talking(toys) as (first, opened):
        await first.feed("uno ")
        async with talking(toys, session_id=opened.session_id) as (second, _):
            moved = await first.hear()
            assert moved.reason == session_pb2.MOVED_REASON_CLAIMED
            assert await first.call.read() is grpc.aio.EOF
            assert await first.call.code() is grpc.StatusCode.OK
            await second.feed("dos ")
            assert (await second.generate())[-1].hypotheses[0].text == "one two"


async def test_a_generate_is_taken_over_in_the_middle(toys: Toys) -> None:
    engine = toys.engine()
    async with talking(toys) as (first, opened):
        await first.feed("uno dos tres")
        engine.hold()
        engine.let(2)
        await first.call.write(session_pb2.SessionRequest(generate=session_pb2.Generate(), turn=1))
        assert (await first.hear()).tokens[0].piece == "one"
        async with talking(toys, session_id=opened.session_id) as (second, _):
            assert (await first.hear()).reason == session_pb2.MOVED_REASON_CLAIMED
            engine.let_go()
            outputs = await second.generate(turn=1, output_position=1)
            assert "".join(token.piece for output in outputs for token in output.tokens) == " two three"


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
        assert toys.server.metrics.registry.get_sample_value("seqserve_sessions", {"tier": "held"}) == 2


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
    while toys.server.sessions._table._entries[session_id].holding:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.001)


async def test_turns_that_come_again_are_counted_by_what_became_of_them(toys: Toys) -> None:
    async with talking(toys) as (talk, _):
        await talk.feed("uno ", turn=0)
        await talk.feed("uno ", turn=0)
        await refused(talk.feed("dos ", turn=0))
    async with talking(toys) as (talk, _):
        await refused(talk.feed("uno ", turn=7))
    value = toys.server.metrics.registry.get_sample_value
    assert value("seqserve_turns_repeated_total", {"outcome": "answered"}) == 1
    assert value("seqserve_turns_repeated_total", {"outcome": "refused"}) == 2
    assert value("seqserve_sessions_opened_total") == 2
    assert value("seqserve_sessions_resumed_total", {"source": "memory"}) == 0


async def test_a_session_that_is_resumed_is_counted_by_where_it_was(toys: Toys) -> None:
    async with talking(toys) as (talk, opened):
        await talk.leave()
    async with talking(toys, session_id=opened.session_id) as (talk, _):
        await talk.feed("uno ")
    value = toys.server.metrics.registry.get_sample_value
    assert value("seqserve_sessions_resumed_total", {"source": "memory"}) == 1
    assert value("seqserve_sessions_opened_total") == 1
