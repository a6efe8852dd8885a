"""Models that are loaded and unloaded: by whichever worker that was asked, in all of them, and in those begun later."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from seqserve.v1.model_pb2 import ListModelsRequest, LoadModelRequest, UnloadModelRequest
from seqserve.v1.model_pb2_grpc import ModelServiceStub
from service.client import AsyncClient
from tests.system.workers.served import Workers, kill, workers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NUM_CONNECTIONS = 12
"""So many all come to one of two workers once in 2,048 times."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.bundles import write_classifier  # torch takes a moment to import

    folder = tmp_path_factory.mktemp("models")
    for name in ("stays", "goes"):
        write_classifier(folder, name, encoder={"hidden": 8, "bidirectional": False}, pooling="max")
    return folder


@asynccontextmanager
async def stubs(served: Workers) -> AsyncIterator[list[Any]]:
    """Each by a connection of its own."""
    async with AsyncExitStack() as stack:
        channels = [
            grpc.aio.insecure_channel(served.address, [("grpc.use_local_subchannel_pool", 1)])
            for _ in range(NUM_CONNECTIONS)
        ]
        yield [ModelServiceStub(await stack.enter_async_context(one)) for one in channels]


async def listed(served: Workers) -> set[tuple[str, ...]]:
    """What the workers say they serve: one answer where they agree."""
    async with stubs(served) as all_of_them:
        answers = await asyncio.gather(*(one.ListModels(ListModelsRequest()) for one in all_of_them))
    return {tuple(sorted(one.model.name for one in answer.models)) for answer in answers}


async def test_what_one_worker_is_told_to_serve_all_serve_and_those_begun_later(
    models: Path, tmp_path: Path
) -> None:
    config = tmp_path / "admin.toml"
    config.write_text("[server]\nadmin = true\n")
    unload = UnloadModelRequest(name="goes", version="1", deadline=Duration(seconds=100))
    with workers(models, tmp_path, "--config", str(config)) as served:
        async with (
            AsyncClient(served.address, connections=NUM_CONNECTIONS) as client,
            AsyncExitStack() as talking,
        ):
            sessions = [
                await talking.enter_async_context(client.session(model="goes"))
                for _ in range(NUM_CONNECTIONS)
            ]
            for session in sessions:
                await session.feed("play some")
            async with stubs(served) as [stub, *_]:
                assert (await stub.UnloadModel(unload)).num_sessions == NUM_CONNECTIONS
            assert await listed(served) == {("stays",)}
            for number, pid in enumerate(served.pids, 1):
                kill(pid)
                await asyncio.to_thread(served.wait_until_started, 2 + number)
            assert await listed(served) == {("stays",)}
            said = [await session.feed(" jazz") for session in sessions]
            assert all(one == said[0] for one in said)
        async with stubs(served) as [stub, *_]:
            unload.name = "stays"
            unload.deadline.seconds = 0
            await stub.UnloadModel(unload)
            assert await listed(served) == {()}
            await stub.LoadModel(LoadModelRequest(name="stays"))
        assert await listed(served) == {("stays",)}
