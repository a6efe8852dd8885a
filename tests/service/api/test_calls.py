"""What happens around a call: leaving, deadlines, faults, ids, counts, and what the log may say."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
import pytest

from seqserve.v1 import sequence_pb2 as pb
from seqserve.v1 import session_pb2
from service import logs
from service.api import sequence
from service.errors import Overloaded
from service.tasks import translate as translate_task
from tests.fakes.toy_server import Toys
from tests.fakes.waiting import until
from tests.fakes.wire import model, refused, stream, talking, translate


def long_stream(toys: Toys, **call: Any) -> Any:
    return toys.sequence.StreamTranslate(pb.StreamTranslateRequest(model=model(), text="uno " * 20), **call)


async def until_idle(toys: Toys) -> None:
    async with asyncio.timeout(30):
        while toys.jobs_active() or len(toys.server._calls):  # noqa: ASYNC110 - they tell nobody
            await asyncio.sleep(0.001)


async def test_a_stream_whose_caller_leaves_frees_its_slot_at_once(toys: Toys) -> None:
    engine = toys.engine()
    engine.hold()
    call = long_stream(toys)
    engine.let(3)
    await call.read()
    call.cancel()
    await until_idle(toys)  # while the engine is still held: nothing waits for the next step
    rows = engine.rows.copy()
    engine.let_go()
    assert await translate(toys, "dos") == ["two"]
    assert engine.rows["step"] <= rows["step"] + 1 + 2  # the batch that was running, and "dos" with its end
    assert toys.num_calls("StreamTranslate", "CANCELLED") == 1


async def test_a_request_whose_deadline_is_over_frees_its_slots_at_once(toys: Toys) -> None:
    engine = toys.engine()
    engine.hold()
    request = pb.TranslateRequest(model=model(), texts=["uno " * 20] * 50)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await toys.sequence.Translate(request, timeout=2)
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until_idle(toys)
    engine.let_go()
    assert await translate(toys, "dos") == ["two"]
    assert engine.rows["encode"] <= 50 + 1
    assert engine.rows["step"] == 2
    assert toys.num_calls("Translate", "DEADLINE_EXCEEDED") == 1


async def test_a_session_whose_caller_leaves_in_the_middle_frees_its_slot(toys: Toys) -> None:
    engine = toys.engine()
    async with talking(toys) as (talk, _):
        await talk.feed("uno " * 20)
        engine.hold()
        await talk.call.write(session_pb2.SessionRequest(generate=session_pb2.Generate()))
        await asyncio.to_thread(engine.running.wait)
    await until_idle(toys)
    engine.let_go()
    assert engine.rows["step"] == 0


async def test_a_caller_who_leaves_does_not_hurt_the_others(toys: Toys) -> None:
    engine = toys.engine()
    engine.hold()
    leaving = [long_stream(toys) for _ in range(5)]
    staying = [asyncio.create_task(translate(toys, "uno dos tres")) for _ in range(5)]
    while toys.jobs_active() < 10:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.001)
    engine.let(2)
    for call in leaving:
        call.cancel()
    engine.let_go()
    assert await asyncio.gather(*staying) == [["one two three"]] * 5
    await until_idle(toys)


async def test_a_slow_reader_holds_nobody_up_and_gets_several_tokens_in_one_message(toys: Toys) -> None:
    slow = long_stream(toys)
    answers = await stream(toys, "uno dos tres")
    assert answers[-1].hypotheses[0].text == "one two three"
    while toys.jobs_active():  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.001)
    received = [answer async for answer in slow]
    assert sum(len(answer.tokens) for answer in received) == 20
    assert received[-1].output_position == 20


async def test_a_fault_of_the_server_shows_an_id_and_no_more(
    toys: Toys, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret of the server")

    logs.configure("info", "json")
    monkeypatch.setattr(translate_task, "hypotheses_of", fail)
    for begin in (
        lambda: toys.sequence.Translate(pb.TranslateRequest(model=model(), texts=["uno"])),
        lambda: long_stream(toys),
    ):
        answer = await refused(begin())
        assert (answer.code, answer.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
        assert "secret" not in str(answer.status)
        request_id = answer.metadata["x-request-id"]
        assert request_id in answer.message
        written = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        [fault] = [line for line in written if "exception" in line]
        assert fault["request_id"] == request_id
        assert "a secret of the server" in fault["exception"]
    monkeypatch.undo()
    assert await translate(toys, "uno") == ["one"]


async def test_a_stream_that_breaks_off_after_its_first_answer_says_why(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*given: Any) -> AsyncIterator[Any]:
        async with aclosing(translate_task.stream_translate(*given)) as all_written:
            async for written in all_written:
                yield written
                raise Overloaded("no room for the rest", retry_after_s=1.0)

    monkeypatch.setattr(sequence, "stream_translate", broken)
    answer = await refused(long_stream(toys))
    assert (answer.code, answer.message) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "no room for the rest")


async def test_a_fault_inside_a_job_fails_its_caller_only(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret of the server")

    with monkeypatch.context() as patched:
        patched.setattr(translate_task, "new_search", fail)
        answer = await refused(toys.sequence.Translate(pb.TranslateRequest(model=model(), texts=["uno"])))
    assert (answer.code, answer.reason) == (grpc.StatusCode.INTERNAL, "STEP_FAILED")
    assert "secret" not in str(answer.status)
    assert await translate(toys, "uno") == ["one"]


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-123", True), ("x" * 65, False), ("<script>", False), ("", False)]
)
async def test_the_callers_own_id_is_kept_where_it_is_sane(toys: Toys, sent: str, kept: bool) -> None:
    call = toys.sequence.Translate(
        pb.TranslateRequest(model=model(), texts=["uno"]), metadata=(("x-request-id", sent),)
    )
    await call
    returned = dict(await call.trailing_metadata())["x-request-id"]
    assert (returned == sent) is kept
    assert len(returned) >= 7


async def test_calls_are_counted_by_method_and_code(toys: Toys) -> None:
    await translate(toys, "uno")
    await stream(toys, "uno")
    await refused(toys.sequence.Translate(pb.TranslateRequest(model=model(), texts=[""])))
    async with talking(toys) as (talk, _):
        await talk.leave()
    await until(lambda: toys.num_calls("Translate", "INVALID_ARGUMENT") > 0)  # counted after its answer
    await until_idle(toys)
    assert toys.num_calls("Translate", "OK") == 1
    assert toys.num_calls("Translate", "INVALID_ARGUMENT") == 1
    assert toys.num_calls("StreamTranslate", "OK") == 1
    assert toys.num_calls("Session", "OK") == 1


async def test_lines_of_a_call_carry_its_request_id_and_those_of_a_session_the_end_of_its_id(
    toys: Toys, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("debug", "json")
    async with talking(toys) as (talk, opened):
        await refused(talk.feed("diez "))
    await until(lambda: toys.num_calls("Session", "INTERNAL") > 0)  # counted, and told of, after its answer
    await translate(toys, "uno")
    await until_idle(toys)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    session, translated = [line for line in lines if line["event"] == "call"]
    assert session["session"] == "…" + opened.session_id[-8:]
    assert opened.session_id not in str(lines)
    assert "session" not in translated
    assert session["request_id"] != translated["request_id"]


async def test_texts_are_logged_where_that_was_asked(toys: Toys, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "json", texts=True)
    await translate(toys, "cuatro")
    await until_idle(toys)
    logs.configure("debug", "json")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    [asked] = [line for line in lines if line["event"] == "asked"]
    [answered] = [line for line in lines if line["event"] == "answered"]
    assert asked["message"]["texts"] == ["cuatro"]
    assert answered["message"]["translations"][0]["hypotheses"][0]["text"] == "four"


@pytest.mark.parametrize("format", ["json", "console"])
async def test_the_log_tells_of_calls_and_never_what_users_wrote(
    toys: Toys, format: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("debug", format)
    await translate(toys, "cuatro")
    await refused(toys.sequence.Translate(pb.TranslateRequest(model=model(), texts=["cuatro diez"])))
    await refused(toys.sequence.Translate(pb.TranslateRequest(model=model(), texts=["cuatro " * 30])))
    async with talking(toys) as (talk, _):
        await talk.feed("cuatro ")
        await refused(talk.feed("diez "))
    await until(lambda: toys.num_calls("Session", "INTERNAL") > 0)  # counted, and told of, after its answer
    await until_idle(toys)
    written = capsys.readouterr().err
    assert "INVALID_ARGUMENT" in written
    assert "StepFailed" in written
    for secret in ("cuatro", "four", "[7", "array("):
        assert secret not in written
