"""Every bad input gets the right status, the field, and what was expected; and the server goes on."""

from typing import Any, cast

import grpc
import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2

from seqserve.v1 import decoding_pb2, model_pb2, session_pb2
from seqserve.v1 import sequence_pb2 as pb
from tests.fakes.toy_server import Toys
from tests.fakes.wire import Refused, Talk, model, refused, talking, translate

NAN = float("nan")
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(autouse=True)
async def _the_server_goes_on(toys: Toys) -> Any:
    yield
    assert await translate(toys, "uno dos") == ["one two"]
    assert toys.jobs_active() == 0


async def refused_translate(toys: Toys, *texts: str, **parts: Any) -> Refused:
    return await refused(
        toys.sequence.Translate(pb.TranslateRequest(texts=texts, **{"model": model()} | parts))
    )


async def refused_stream(toys: Toys, text: str, **parts: Any) -> Refused:
    request = pb.StreamTranslateRequest(text=text, **{"model": model()} | parts)
    return await refused(toys.sequence.StreamTranslate(request))


@pytest.mark.parametrize("text", ["", "   ", "\x00\x01"])
async def test_an_empty_text(toys: Toys, text: str) -> None:
    answers = {
        "texts[1]": await refused_translate(toys, "uno", text),
        "text": await refused_stream(toys, text),
        "texts[0]": await refused(
            toys.sequence.Classify(pb.ClassifyRequest(model=model("toy-intents"), texts=[text]))
        ),
    }
    for field, answer in answers.items():
        assert (answer.code, answer.field, answer.reason) == (INVALID, field, "INVALID_INPUT")
        assert "expected at least one word" in answer.message


async def test_no_text_and_too_many(toys: Toys) -> None:
    for texts in ([], ["uno"] * 101):
        answer = await refused_translate(toys, *texts)
        assert (answer.code, answer.field) == (INVALID, "texts")
        assert "1 to 100 texts" in answer.message


async def test_ten_thousand_words(toys: Toys) -> None:
    answer = await refused_translate(toys, "uno " * 10_000)
    assert (answer.code, answer.field) == (INVALID, "texts[0]")
    assert "10,000 tokens" in answer.message
    assert "at most 20" in answer.message


async def test_ten_thousand_words_are_cut_when_asked(toys: Toys) -> None:
    request = pb.TranslateRequest(
        model=model(), texts=["uno " * 10_000], too_long=decoding_pb2.TOO_LONG_TRUNCATE
    )
    answer = await toys.sequence.Translate(request)
    assert answer.translations[0].num_source_tokens == 20
    assert answer.translations[0].hypotheses[0].text == " ".join(["one"] * 20)


async def test_unknown_models_and_languages(toys: Toys) -> None:
    wanted = {
        "no-such-model": "toy-es-en",
        "toy-intents": "does not serve the task translate",
    }
    for name, hint in wanted.items():
        answer = await refused_translate(toys, "uno", model=model(name))
        assert (answer.code, answer.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
        assert hint in answer.message
        assert answer.detail(error_details_pb2.ResourceInfo).resource_type == "model"
    answer = await refused_stream(
        toys, "uno", model=model_pb2.ModelSelector(source_language="xx", target_language="en")
    )
    assert answer.code is grpc.StatusCode.NOT_FOUND
    assert "es→en" in answer.message
    answer = await refused_translate(toys, "uno", model=model(version="7"))
    assert answer.code is grpc.StatusCode.NOT_FOUND
    assert "toy-es-en/1" in answer.message


async def test_a_choice_that_is_open_lists_the_models(toys: Toys) -> None:
    answer = await refused_translate(toys, "uno", model=model_pb2.ModelSelector(source_language="es"))
    assert (answer.code, answer.field) == (INVALID, "model.name")
    assert "toy-es-en, two-way" in answer.message


@pytest.mark.parametrize("text", ["図書館", "Ωμέγα βήτα", "🙂", "\u202eolleh", "a\x00b\x1b[31m"])
async def test_another_script_and_control_characters_are_harmless(toys: Toys, text: str) -> None:
    [written] = await translate(toys, text)
    assert set(written.split()) == {"ten"}


@pytest.mark.parametrize(
    ("options", "field", "valid"),
    [
        ({"beam_size": 0}, "beam_size", "1 to 16"),
        ({"beam_size": 10**6}, "beam_size", "1 to 16"),
        ({"beam_size": -5}, "beam_size", "1 to 16"),
        ({"num_hypotheses": 0}, "num_hypotheses", "1 to 1"),
        ({"beam_size": 3, "num_hypotheses": 4}, "num_hypotheses", "1 to 3"),
        ({"length_penalty": NAN}, "length_penalty", "0 to 5"),
        ({"length_penalty": float("inf")}, "length_penalty", "0 to 5"),
        ({"length_penalty": -1.0}, "length_penalty", "0 to 5"),
        ({"max_length": 0}, "max_length", "1 to 40"),
        ({"max_length": 2**31 - 1}, "max_length", "1 to 40"),
        ({"min_length": -1}, "min_length", "0 to 32"),
        ({"max_length": 2, "min_length": 3}, "min_length", "0 to 2"),
    ],
)
async def test_options_out_of_bounds(toys: Toys, options: dict[str, Any], field: str, valid: str) -> None:
    given = decoding_pb2.DecodingOptions(**options)
    async with talking(toys) as (talk, _):
        await talk.feed("uno ")
        answers = {
            f"options.{field}": await refused_translate(toys, "uno", options=given),
            f"generate.options.{field}": await refused(
                talk.say(generate=session_pb2.Generate(options=given))
            ),
        }
    answers[f"options.{field} "] = await refused_stream(toys, "uno", options=given)
    for expected, answer in answers.items():
        assert (answer.code, answer.field) == (INVALID, expected.strip())
        assert valid in answer.message


async def test_unknown_enum_values_list_the_valid_names(toys: Toys) -> None:
    answer = await refused_translate(toys, "uno", too_long=7)
    assert (answer.code, answer.field) == (INVALID, "too_long")
    assert "TOO_LONG_REFUSE or TOO_LONG_TRUNCATE" in answer.message
    answer = await refused(toys.models.ListModels(model_pb2.ListModelsRequest(task=99)))  # type: ignore[arg-type]
    assert (answer.code, answer.field) == (INVALID, "task")
    assert "TASK_TRANSLATE, TASK_CLASSIFY, TASK_SUMMARIZE" in answer.message


async def test_a_negative_number_of_labels(toys: Toys) -> None:
    request = pb.ClassifyRequest(model=model("toy-intents"), texts=["uno"], num_labels=-1)
    answer = await refused(toys.sequence.Classify(request))
    assert (answer.code, answer.field) == (INVALID, "num_labels")


def broken_utf8() -> bytes:
    """A TranslateRequest or StreamTranslateRequest whose text, field 2, is not UTF-8."""
    return b"\x12\x04\xff\xfe\xfdx"


@pytest.mark.parametrize("data", [broken_utf8(), b"\xff\xff\xff", b"\x12\x7f"])
async def test_bytes_that_are_no_request(toys: Toys, data: bytes) -> None:
    channel, service = cast("Any", toys.channel), "/seqserve.v1.SequenceService"
    single = channel.unary_unary(f"{service}/Translate")(data)
    stream = channel.unary_stream(f"{service}/StreamTranslate")(data)
    session = channel.stream_stream(f"{service}/Session")(iter([data]))
    for call in (single, stream, session):
        answer = await refused(call)
        assert (answer.code, answer.reason) == (INVALID, "INVALID_INPUT")
        assert "not valid UTF-8" in answer.message


async def test_a_message_that_is_too_large(toys: Toys) -> None:
    request = pb.TranslateRequest(model=model(), texts=["x" * (5 * 1024 * 1024)])
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await toys.sequence.Translate(request)
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_method_that_does_not_exist(toys: Toys) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await cast("Any", toys.channel).unary_unary("/seqserve.v1.SequenceService/Fly")(b"")
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("first", ["feed", "generate", "close"])
async def test_a_stream_that_does_not_begin_with_open_or_resume(toys: Toys, first: str) -> None:
    parts: dict[str, Any] = {
        "feed": session_pb2.Feed(text="uno"),
        "generate": session_pb2.Generate(),
        "close": session_pb2.Close(),
    }
    answer = await refused(Talk(toys.sequence.Session()).say(**{first: parts[first]}))
    assert (answer.code, answer.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_POSSIBLE")
    assert f"begins with open or resume, not with {first}" in answer.message


async def test_an_empty_first_request(toys: Toys) -> None:
    answer = await refused(Talk(toys.sequence.Session()).say())
    assert answer.code is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_stream_that_opens_twice(toys: Toys) -> None:
    async with talking(toys) as (talk, _):
        answer = await refused(talk.say(open=session_pb2.Open(model=model())))
    assert answer.code is grpc.StatusCode.FAILED_PRECONDITION
    assert "holds a session already" in answer.message


async def test_an_empty_request_in_a_session(toys: Toys) -> None:
    for request, field in (({}, "request"), ({"feed": session_pb2.Feed()}, "feed.input")):
        async with talking(toys) as (talk, _):
            answer = await refused(talk.say(**request))
        assert (answer.code, answer.field) == (INVALID, field)


@pytest.mark.parametrize(
    ("name", "instead"), [("two-way", "StreamTranslate"), ("two-way-intents", "Classify")]
)
async def test_a_session_on_a_model_that_reads_both_ways(toys: Toys, name: str, instead: str) -> None:
    answer = await refused(Talk(toys.sequence.Session()).say(open=session_pb2.Open(model=model(name))))
    assert answer.code is grpc.StatusCode.FAILED_PRECONDITION
    assert "its encoder reads both ways" in answer.message
    assert instead in answer.message
    assert len(toys.server.sessions) == 0


async def test_a_session_that_is_not_there(toys: Toys) -> None:
    answer = await refused(Talk(toys.sequence.Session()).say(resume=session_pb2.Resume(session_id="gone")))
    assert (answer.code, answer.reason) == (grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")
    resource = answer.detail(error_details_pb2.ResourceInfo)
    assert (resource.resource_type, resource.resource_name) == ("session", "gone")


@pytest.mark.parametrize("seconds", [0, -1, 10**9])
async def test_a_time_to_live_out_of_bounds(toys: Toys, seconds: int) -> None:
    opening = session_pb2.Open(model=model(), ttl=duration_pb2.Duration(seconds=seconds))
    answer = await refused(Talk(toys.sequence.Session()).say(open=opening))
    assert (answer.code, answer.field) == (INVALID, "open.ttl")
    assert "at most 3600 seconds" in answer.message


async def test_token_ids_out_of_the_vocabulary(toys: Toys) -> None:
    async with talking(toys) as (talk, _):
        answer = await refused(talk.say(feed=session_pb2.Feed(token_ids=session_pb2.TokenIds(ids=[4, 24]))))
    assert (answer.code, answer.field) == (INVALID, "feed.token_ids")
    assert "3 to 23" in answer.message


async def test_a_position_that_does_not_fit(toys: Toys) -> None:
    async with talking(toys) as (talk, _):
        await talk.feed("uno ", input_position=0)
        answer = await refused(talk.feed("dos ", input_position=0))
    assert (answer.code, answer.reason) == (grpc.StatusCode.OUT_OF_RANGE, "OUT_OF_RANGE")
    assert answer.field == "feed.input_position"
    assert "stands at input position 1" in answer.message


async def test_generating_from_nothing_and_with_a_classifier(toys: Toys) -> None:
    async with talking(toys) as (talk, _):
        answer = await refused(talk.generate())
    assert (answer.code, "nothing was fed" in answer.message) == (grpc.StatusCode.FAILED_PRECONDITION, True)
    async with talking(toys, "toy-intents") as (talk, _):
        answer = await refused(talk.generate())
    assert (answer.code, "cannot generate" in answer.message) == (grpc.StatusCode.FAILED_PRECONDITION, True)


async def test_a_step_that_fails_fails_its_request_only(toys: Toys) -> None:
    answer = await refused_translate(toys, "uno", "diez")
    assert (answer.code, answer.reason) == (grpc.StatusCode.INTERNAL, "STEP_FAILED")


@pytest.mark.parametrize("letter", ["a", "ñ", "図", "🙂"])
async def test_a_message_never_outgrows_the_headers_it_travels_in(toys: Toys, letter: str) -> None:
    answer = await refused_translate(toys, "uno", model=model(letter * 100_000))
    assert (answer.code, answer.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    assert len(answer.message.encode()) <= 800
    assert answer.message.endswith("…")
