"""A server that goes away: what runs may end, what does not end in time is told so, what comes is sent elsewhere."""

import asyncio
import os
import signal
import time
from pathlib import Path

import grpc
import pytest

from seqserve.v1 import sequence_pb2 as pb
from seqserve.v1 import session_pb2
from service import server as server_module
from service.api import calls
from service.config import Settings
from service.server import Server, serve
from tests.fakes.toy_bundles import write_toy_translator
from tests.fakes.toy_server import Toys, serve_toys
from tests.fakes.toy_translator import ToyEngine
from tests.fakes.wire import Talk, model, refused, talking, translate


async def until_draining(toys: Toys) -> None:
    while not toys.server._calls._closed:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.001)


async def test_running_requests_finish(tmp_path: Path) -> None:
    async with serve_toys(tmp_path) as toys:
        engine = toys.engine()
        engine.hold()
        running = asyncio.create_task(translate(toys, "uno dos tres"))
        await asyncio.to_thread(engine.running.wait)
        draining = asyncio.create_task(toys.server.drain())
        await until_draining(toys)
        engine.let_go()
        assert await running == ["one two three"]
        await draining


async def test_new_requests_are_sent_elsewhere(tmp_path: Path) -> None:
    async with serve_toys(tmp_path) as toys:
        engine = toys.engine()
        engine.hold()
        running = asyncio.create_task(translate(toys, "uno"))
        await asyncio.to_thread(engine.running.wait)
        draining = asyncio.create_task(toys.server.drain())
        await until_draining(toys)
        answer = await refused(toys.sequence.Translate(pb.TranslateRequest(model=model(), texts=["uno"])))
        assert (answer.code, answer.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        answer = await refused(Talk(toys.sequence.Session()).say(open=session_pb2.Open(model=model())))
        assert answer.code is grpc.StatusCode.UNAVAILABLE
        engine.let_go()
        assert await running == ["one"]
        await draining


async def test_what_does_not_end_in_time_is_told_so(tmp_path: Path) -> None:
    async with serve_toys(tmp_path, server={"grace_s": 0.2}) as toys:
        engine = toys.engine()
        async with talking(toys) as (talk, _):
            engine.hold()
            unary = asyncio.create_task(translate(toys, "uno"))
            stream = toys.sequence.StreamTranslate(pb.StreamTranslateRequest(model=model(), text="uno"))
            await asyncio.to_thread(engine.running.wait)
            draining = asyncio.create_task(toys.server.drain())
            for call in (unary, stream, talk.hear()):
                answer = await refused(call)
                assert (answer.code, answer.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
            engine.let_go()
            await draining
    assert toys.jobs_active() == 0


async def test_a_session_that_nobody_speaks_in_does_not_hold_it_up(tmp_path: Path) -> None:
    async with serve_toys(tmp_path, server={"grace_s": 600}) as toys, talking(toys) as (talk, _):
        await talk.feed("uno ")
        draining = asyncio.create_task(toys.server.drain())
        answer = await refused(talk.hear())
        assert (answer.code, answer.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        await draining


async def test_a_session_that_is_being_answered_is_not_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "QUIET_S", 0.01)
    async with serve_toys(tmp_path) as toys, talking(toys) as (talk, _):
        engine = toys.engine()
        engine.hold()
        fed = asyncio.create_task(talk.feed("uno "))
        await asyncio.to_thread(engine.running.wait)
        draining = asyncio.create_task(toys.server.drain())
        await until_draining(toys)
        await asyncio.sleep(0.1)
        engine.let_go()
        assert (await fed).input_position == 1
        await draining


async def test_an_idle_server_goes_at_once(tmp_path: Path) -> None:
    async with serve_toys(tmp_path, server={"grace_s": 60}) as toys:
        await translate(toys, "uno")
        started = time.monotonic()
        await toys.server.drain()
        assert time.monotonic() - started < 30


async def test_a_watcher_who_does_not_read_does_not_hold_it_up(tmp_path: Path) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    async with serve_toys(tmp_path) as toys:
        _ = health_pb2_grpc.HealthStub(toys.channel).Watch(health_pb2.HealthCheckRequest())
        await translate(toys, "uno")
        async with asyncio.timeout(30):
            await toys.server.drain()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_drains_and_the_process_goes_on_to_its_end(
    tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_toy_translator(tmp_path)
    monkeypatch.setattr(server_module, "OnnxEngine", lambda bundle, *_: ToyEngine(bundle.manifest))
    started: list[str] = []

    def on_start(server: Server) -> None:
        started.append(server.address)
        os.kill(os.getpid(), number)

    settings = Settings.load(
        flags={"server": {"port": 0}, "models": {"repository": str(tmp_path)}}, environment={}
    )
    serve(settings, on_start)
    assert started[0].startswith("127.0.0.1:")


async def test_a_second_signal_ends_what_still_runs(tmp_path: Path) -> None:
    async with serve_toys(tmp_path, server={"grace_s": 60}) as toys:
        engine = toys.engine()
        engine.hold()
        running = asyncio.create_task(translate(toys, "uno"))
        await asyncio.to_thread(engine.running.wait)
        draining = asyncio.create_task(toys.server.drain())
        await until_draining(toys)
        toys.server.turn_out()
        assert (await refused(running)).code is grpc.StatusCode.UNAVAILABLE
        engine.let_go()
        async with asyncio.timeout(30):
            await draining
