"""Many calls in one stream: each is what it would be on its own, and none of them harms another."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from seqserve.v1 import sequence_pb2 as pb
from seqserve.v1 import session_pb2
from seqserve.v1.multiplex_pb2 import Begin, Frame, Header
from service.api import SequenceServicer
from service.client import AsyncClient, DeadlineExceeded
from service.multiplex.window import WINDOW
from tests.fakes.frames import (
    LONG,
    MULTIPLEX,
    SERVICE,
    SESSION,
    STREAM,
    TRANSLATE,
    WORDS,
    Line,
    asks,
    asks_for_stream,
    lined,
    opening,
)
from tests.fakes.toy_server import serve_toys
from tests.fakes.wire import model, stream, translate


async def test_calls_of_every_kind_share_a_stream_and_are_answered_as_alone(tmp_path: Path) -> None:
    async with lined(tmp_path) as (toys, line):
        alone = await stream(toys, "uno dos")
        await line.begin(1, TRANSLATE, asks(*WORDS))
        await line.begin(2, STREAM, asks_for_stream("uno dos"))
        await line.begin(3, SESSION)
        await line.say(Frame(call=3, message=opening()), Frame(call=3, half_close=True))
        assert [await line.end_of(call) for call in (1, 2, 3)] == [grpc.StatusCode.OK] * 3
        [answer] = map(pb.TranslateResponse.FromString, line.messages[1])
        assert [each.hypotheses[0].text for each in answer.translations] == ["one", "two", "three"]
        answers = list(map(pb.StreamTranslateResponse.FromString, line.messages[2]))
        assert answers[-1].hypotheses == alone[-1].hypotheses
        tokens = [token for one in answers for token in one.tokens]
        assert tokens == [token for one in alone for token in one.tokens]
        [opened] = map(session_pb2.SessionResponse.FromString, line.messages[3])
        assert opened.opened.session_id


async def test_a_stream_that_nobody_reads_stops_holds_up_no_other_and_goes_on_when_it_is_read(
    tmp_path: Path,
) -> None:
    async with lined(tmp_path) as (_, line):
        keep = session_pb2.SessionRequest(keep_alive=session_pb2.KeepAlive()).SerializeToString()
        await line.begin(1, SESSION)
        await line.say(Frame(call=1, message=opening()), *[Frame(call=1, message=keep)] * 1000)
        await line.say(*[Frame(call=1, message=keep)] * 700)
        while line.cost_of(1) < WINDOW:
            await line.hear()
        await line.begin(2, TRANSLATE, asks("uno"))
        assert await line.end_of(2) is grpc.StatusCode.OK
        assert len(line.messages[1]) < 1700
        assert line.credit[1] >= WINDOW // 2  # what it has read was granted again
        await line.say(Frame(call=1, credit=line.cost_of(1)))
        while len(line.messages[1]) < 1701:
            await line.hear()
        await line.say(Frame(call=1, credit=WINDOW))
        for _ in range(2):
            await line.say(
                *[Frame(call=1, message=keep)] * 850
            )  # in all more than a window, and it was granted
        while len(line.messages[1]) < 3401:
            before = line.cost_of(1)
            await line.hear()
            await line.say(Frame(call=1, credit=line.cost_of(1) - before))
        await line.say(Frame(call=1, half_close=True))
        assert await line.end_of(1) is grpc.StatusCode.OK


async def test_credit_beyond_what_was_sent_makes_no_more_room(tmp_path: Path) -> None:
    async with lined(tmp_path) as (_, line):
        keep = session_pb2.SessionRequest(keep_alive=session_pb2.KeepAlive()).SerializeToString()
        await line.begin(1, SESSION)
        await line.say(
            Frame(call=1, message=opening(), credit=2**32 - 1), *[Frame(call=1, message=keep)] * 1020
        )
        await line.say(*[Frame(call=1, message=keep)] * 680)
        while line.cost_of(1) < WINDOW:
            await line.hear()
        await line.begin(2, TRANSLATE, asks("uno"))
        await line.end_of(2)
        assert len(line.messages[1]) < 1701


@pytest.mark.parametrize("ending", ["flood", "cancel"])
async def test_what_ends_in_the_moment_in_which_it_begins_has_a_status_too(
    tmp_path: Path, ending: str
) -> None:
    async with lined(tmp_path) as (_, line):
        begin = Frame(call=1, begin=Begin(method=SESSION))
        flood = (
            [Frame(call=1, message=bytes(30_000))] * 5 if ending == "flood" else [Frame(call=1, cancel=True)]
        )
        await line.say(begin, *flood)
        meant = grpc.StatusCode.RESOURCE_EXHAUSTED if ending == "flood" else grpc.StatusCode.CANCELLED
        assert await line.end_of(1) is meant


async def test_a_message_that_begins_calls_without_number_is_refused_whole(tmp_path: Path) -> None:
    async with serve_toys(tmp_path) as toys:
        line = Line(toys.channel)
        await line.say(*(Frame(call=call, begin=Begin(method=SESSION)) for call in range(1025)))
        assert await line.refusal() is grpc.StatusCode.INVALID_ARGUMENT
        assert await translate(toys, "uno") == ["one"]


async def test_who_sends_more_than_was_granted_is_ended_alone(tmp_path: Path) -> None:
    async with lined(tmp_path) as (toys, line):
        toys.engine().hold()
        await line.begin(1, SESSION)
        await line.begin(2, SESSION)
        feed = session_pb2.SessionRequest(feed=session_pb2.Feed(text="uno dos tres")).SerializeToString()
        await line.say(Frame(call=1, message=opening()), Frame(call=2, message=opening()))
        for _ in range(20):
            await line.say(*[Frame(call=1, message=feed)] * 200)
        assert await line.end_of(1) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "at most 65,536 bytes may be unread" in line.ended[1].message
        toys.engine().let_go()
        await line.say(Frame(call=2, half_close=True))
        assert await line.end_of(2) is grpc.StatusCode.OK


async def test_a_message_in_parts_is_one_and_may_not_be_too_large(tmp_path: Path) -> None:
    async with lined(tmp_path, server={"max_message_bytes": 128 * 1024}) as (_, line):
        whole = asks("uno").SerializeToString()
        await line.say(Frame(call=1, begin=Begin(method=TRANSLATE), message=whole[:3], more=True))
        await line.say(Frame(call=1, message=whole[3:], half_close=True))
        assert await line.end_of(1) is grpc.StatusCode.OK
        await line.say(Frame(call=2, begin=Begin(method=TRANSLATE)))
        for _ in range(6):
            await line.say(Frame(call=2, message=bytes(32_768), more=True))
        assert await line.end_of(2) is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_call_that_is_left_ends_and_frees_what_it_held(tmp_path: Path) -> None:
    async with lined(tmp_path) as (toys, line):
        engine = toys.engine()
        engine.hold()
        await line.begin(1, STREAM, asks_for_stream(LONG))
        await asyncio.to_thread(engine.running.wait)
        await line.say(Frame(call=1, cancel=True))
        assert await line.end_of(1) is grpc.StatusCode.CANCELLED
        engine.let_go()
        while toys.jobs_active():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


async def test_when_the_stream_breaks_all_its_calls_end(tmp_path: Path) -> None:
    async with lined(tmp_path) as (toys, line):
        engine = toys.engine()
        engine.hold()
        for call in range(5):
            await line.begin(call, STREAM, asks_for_stream(LONG))
        await asyncio.to_thread(engine.running.wait)
        line.stream.cancel()
        engine.let_go()
        while len(toys.server._calls) or toys.jobs_active():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_deadline_is_that_of_its_call(tmp_path: Path) -> None:
    async with serve_toys(tmp_path) as toys, AsyncClient(toys.server.address, multiplex=True) as client:
        engine = toys.engine()
        engine.hold()
        with pytest.raises(DeadlineExceeded):
            await client.stream_translate(LONG, model="toy-es-en", timeout=0.2).finish()
        engine.let_go()
        assert (await client.stream_translate("uno", model="toy-es-en").finish()).text == "one"
        while toys.jobs_active():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    async with lined(tmp_path / "again") as (toys, line):
        toys.engine().hold()
        begin = Begin(method=STREAM)
        begin.timeout.FromMilliseconds(200)
        message = asks_for_stream(LONG).SerializeToString()
        await line.say(Frame(call=1, begin=begin, message=message, half_close=True))
        assert await line.end_of(1) is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    "method", ["", "/x/Y", f"{SERVICE}/Nothing", MULTIPLEX, "/grpc.health.v1.Health/Watch", "Translate"]
)
async def test_only_methods_of_the_services_are_carried(tmp_path: Path, method: str) -> None:
    async with lined(tmp_path) as (_, line):
        await line.begin(1, method, asks("uno"))
        assert await line.end_of(1) is grpc.StatusCode.UNIMPLEMENTED
        await line.begin(2, TRANSLATE, asks("uno"))
        assert await line.end_of(2) is grpc.StatusCode.OK


async def test_numbers_are_used_once_and_begun_first(tmp_path: Path) -> None:
    async with serve_toys(tmp_path) as toys:
        line = Line(toys.channel)
        await line.say(Frame(call=7, message=b"x"))
        assert await line.refusal() is grpc.StatusCode.INVALID_ARGUMENT
        line = Line(toys.channel)
        await line.begin(7, TRANSLATE, asks("uno"))
        await line.end_of(7)
        await line.say(Frame(call=7, message=b"x", credit=5))  # it may cross the end of its call
        await line.begin(7, TRANSLATE, asks("uno"))
        assert await line.refusal() is grpc.StatusCode.INVALID_ARGUMENT
        assert await translate(toys, "dos") == ["two"]


async def test_headers_that_are_no_metadata_are_refused(tmp_path: Path) -> None:
    async with lined(tmp_path) as (_, line):
        await line.begin(1, TRANSLATE, asks("uno"), headers=[Header(key="x", value=b"\xff")])
        assert await line.end_of(1) is grpc.StatusCode.INVALID_ARGUMENT
        await line.begin(2, TRANSLATE, asks("uno"), headers=[Header(key="x-bin", value=b"\xff")])
        assert await line.end_of(2) is grpc.StatusCode.OK


async def test_so_many_calls_at_once_and_no_more(tmp_path: Path) -> None:
    async with lined(tmp_path, server={"max_concurrent_streams": 3}) as (toys, line):
        toys.engine().hold()
        for call in range(4):
            await line.begin(call, STREAM, asks_for_stream("uno"))
        assert await line.end_of(3) is grpc.StatusCode.RESOURCE_EXHAUSTED
        other = Line(toys.channel)  # over the same connection
        await other.begin(1, STREAM, asks_for_stream("uno"))
        assert await other.end_of(1) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert b"RetryInfo" in next(
            each.value for each in line.ended[3].trailers if each.key.endswith("-bin")
        )
        toys.engine().let_go()
        for call in range(3):
            assert await line.end_of(call) is grpc.StatusCode.OK
        await other.begin(2, STREAM, asks_for_stream("uno"))
        assert await other.end_of(2) is grpc.StatusCode.OK


async def test_each_call_is_its_owners_by_its_own_headers(tmp_path: Path) -> None:
    """Two owners behind one proxy, which says in each call whose it is."""
    async with lined(tmp_path, server={"trust_owner_header": True}) as (_, line):
        first = session_pb2.SessionRequest(open=session_pb2.Open(model=model()))
        alice, mallory = ([Header(key="seqserve-owner", value=name)] for name in (b"alice", b"mallory"))
        await line.begin(1, SESSION, first, headers=alice)
        await line.end_of(1)
        opened = session_pb2.SessionResponse.FromString(line.messages[1][0]).opened
        resume = session_pb2.SessionRequest(resume=session_pb2.Resume(session_id=opened.session_id))
        await line.begin(2, SESSION, resume, headers=mallory)
        assert await line.end_of(2) is grpc.StatusCode.NOT_FOUND
        await line.begin(3, SESSION, resume)
        assert await line.end_of(3) is grpc.StatusCode.NOT_FOUND
        await line.begin(4, SESSION, resume, headers=alice)
        assert await line.end_of(4) is grpc.StatusCode.OK


async def test_a_server_that_goes_away_lets_calls_end_and_turns_out_an_idle_stream(tmp_path: Path) -> None:
    """The time that calls are given is far from over."""
    async with lined(tmp_path, server={"grace_s": 600.0}) as (toys, line):
        engine = toys.engine()
        engine.hold()
        await line.begin(1, STREAM, asks_for_stream("uno dos"))
        await asyncio.to_thread(engine.running.wait)
        draining = asyncio.create_task(toys.server.drain())
        while not toys.server._calls._closed:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await line.begin(2, TRANSLATE, asks("uno"))
        assert await line.end_of(2) is grpc.StatusCode.UNAVAILABLE
        engine.let_go()
        assert await line.end_of(1) is grpc.StatusCode.OK
        assert await line.refusal() is grpc.StatusCode.UNAVAILABLE
        await draining


async def test_also_a_panic_is_a_status_and_the_other_calls_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libraries in Rust raise what is no Exception."""

    class Panic(BaseException):
        pass

    async def panics(*_: Any) -> Any:
        raise Panic("called `Option::unwrap()` on a `None` value")

    monkeypatch.setattr(SequenceServicer, "Classify", panics)
    async with lined(tmp_path) as (_, line):
        await line.begin(1, f"{SERVICE}/Classify", asks("uno"))
        assert await line.end_of(1) is grpc.StatusCode.UNKNOWN
        await line.begin(2, TRANSLATE, asks("uno"))
        assert await line.end_of(2) is grpc.StatusCode.OK


async def test_who_ends_the_stream_has_ended_the_requests_of_all_its_calls(tmp_path: Path) -> None:
    async with lined(tmp_path) as (_, line):
        for call in (1, 2):
            await line.say(Frame(call=call, begin=Begin(method=SESSION), message=opening()))
        await line.stream.done_writing()
        assert [await line.end_of(call) for call in (1, 2)] == [grpc.StatusCode.OK] * 2
        assert await line.stream.read() is grpc.aio.EOF
        assert await line.stream.code() is grpc.StatusCode.OK
