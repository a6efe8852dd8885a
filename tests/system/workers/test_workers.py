"""Real workers behind one port: one is killed, all are drained, their parent is killed. Nobody notices or is left."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from service.client import AsyncClient, Client, SessionLost
from tests.fakes.ports import free_port
from tests.service.cli.process import Process
from tests.system.replicas.talkers import CLASSIFIER, TRANSLATOR, Talks
from tests.system.workers.served import PATIENCE_S, is_there, kill, wait_until, workers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONNECTIONS = 8
"""So many all come to one of two workers once in 128 times."""
LONG = 1000
"""Tokens of a text that is still being written when the signal comes."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.bundles import write_classifier, write_translator  # torch takes a moment to import

    folder, one_way = tmp_path_factory.mktemp("models"), {"hidden": 24, "bidirectional": False}
    write_translator(folder, TRANSLATOR, encoder=one_way, export={"max_length": LONG})
    write_classifier(folder, CLASSIFIER, encoder=one_way, pooling="max")
    return folder


async def test_no_session_notices_that_a_worker_is_killed_and_another_takes_its_place(
    models: Path, tmp_path: Path
) -> None:
    with workers(models, tmp_path) as served:
        talks, before = Talks.of(16), served.pids
        is_over = asyncio.Event()

        async def kills() -> None:
            for number, pid in enumerate(before, 1):  # each of them: some sessions are with either
                await asyncio.sleep(0.7)
                kill(pid)
                await asyncio.to_thread(served.wait_until_started, 2 + number)
            is_over.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(kills())
            group.create_task(
                talks.run(
                    [served.address], lambda _: not is_over.is_set(), pause_s=0.15, connections=CONNECTIONS
                )
            )
        assert not {*before} & {*served.pids}
        assert talks.differing(await talks.undisturbed(served.address)) == []
        assert talks.resumed
        assert all(talker.rounds for talker in talks.talkers)
        assert served.end() == 0


async def test_sigterm_drains_all_workers_and_nobody_sees_an_error(models: Path, tmp_path: Path) -> None:
    async def read(client: AsyncClient, begun: asyncio.Event) -> int:
        num_tokens = 0
        async with client.stream_translate("el gato", model=TRANSLATOR, max_length=LONG) as tokens:
            async for _ in tokens:
                num_tokens += 1
                begun.set()
        return num_tokens

    async with asyncio.timeout(PATIENCE_S):
        with workers(models, tmp_path) as served:
            async with AsyncClient(served.address, connections=CONNECTIONS) as client:
                begun = [asyncio.Event() for _ in range(16)]
                reading = [asyncio.create_task(read(client, one)) for one in begun]
                for one in begun:
                    await one.wait()
                assert not any(one.done() for one in reading)
                for pid in (*served.pids, served.process.pid):  # as service managers do
                    os.kill(pid, signal.SIGTERM)
                assert await asyncio.gather(*reading) == [LONG] * 16
            assert await asyncio.to_thread(served.process.wait, PATIENCE_S) == 0


async def test_sessions_are_listed_and_closed_by_whichever_worker(models: Path, tmp_path: Path) -> None:
    with workers(models, tmp_path) as served:
        async with (
            AsyncClient(served.address, connections=CONNECTIONS) as client,
            AsyncExitStack() as talking,
        ):
            sessions = [client.session(model=CLASSIFIER, durability="every step") for _ in range(CONNECTIONS)]
            for session in sessions:
                await talking.enter_async_context(session)
                await session.feed("play some")
            ids = {session.session_id for session in sessions}
            for _ in range(CONNECTIONS):
                assert {one.session_id for one in await client.sessions()} == ids
            for session_id in ids:
                await client.close_session(session_id)
            for _ in range(CONNECTIONS):
                assert await client.sessions() == []
            for session in sessions:
                with pytest.raises(SessionLost):
                    await session.feed(" jazz")


def test_whoever_kills_the_parent_has_killed_its_workers(models: Path, tmp_path: Path) -> None:
    with workers(models, tmp_path) as served:
        pids = served.pids
        assert len(pids) == 2
        kill(served.process.pid)
        served.process.wait()
        wait_until(lambda: not any(map(is_there, pids)), served.log)


def test_a_worker_that_is_told_to_end_is_drained_and_replaced(models: Path, tmp_path: Path) -> None:
    with workers(models, tmp_path) as served:
        with Client(served.address) as client, client.session(model=CLASSIFIER) as session:
            said = [session.feed("play some")]
            for number, pid in enumerate(served.pids, 1):
                os.kill(pid, signal.SIGTERM)
                served.wait_until_started(2 + number)
            said.append(session.feed(" jazz"))
        with Client(served.address) as client, client.session(model=CLASSIFIER) as session:
            assert said == [session.feed("play some"), session.feed(" jazz")]


def test_a_port_is_one_server_s_whose_workers_share_it(models: Path, tmp_path: Path) -> None:
    with workers(models, tmp_path) as served:
        port = served.address.rpartition(":")[2]
        for more in ((), ("--workers", "2")):
            ran = Process()("serve", "--models", str(models), "--port", port, *more)
            assert ran.code == 1
            assert "Address already in use" in ran.err


def test_a_model_s_file_is_not_served_by_workers(tmp_path: Path) -> None:
    ran = Process()("serve", str(tmp_path / "model.onnx"), "--workers", "2")
    assert (ran.code, "seqserve import first" in ran.err) == (2, True)


def test_workers_that_cannot_start_say_why(tmp_path: Path) -> None:
    flags = ("--port", "0", "--metrics-port", str(free_port()), "--workers", "2")
    ran = Process()("serve", "--models", str(tmp_path), *flags)
    assert ran.code == 1
    assert "no model to serve" in ran.err
