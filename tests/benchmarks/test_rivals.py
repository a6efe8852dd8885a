"""What the service is compared with has to do the same work."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from benchmarks.bare import BareLoop
from benchmarks.echo import Echo
from benchmarks.naive import Naive
from benchmarks.naive_wire import NaiveCalls
from benchmarks.triton import NoTriton, running_triton
from benchmarks.work import newest
from seqserve.v1 import sequence_pb2, sequence_pb2_grpc, session_pb2
from service.client import AsyncClient
from service.config import ModelSettings, ServerSettings, Settings
from service.server import Server

MODELS = Path(__file__).resolve().parents[2] / "models"
TEXTS = ["¿Dónde está la biblioteca?", "Tengo hambre."]


@pytest.fixture
async def served() -> AsyncIterator[AsyncClient]:
    server = Server(
        Settings(server=ServerSettings(port=0, grace_s=0.1), models=ModelSettings(repository=MODELS))
    )
    await server.start()
    async with AsyncClient(server.address) as client:
        yield client
    await server.drain()


@pytest.fixture
async def naive() -> AsyncIterator[NaiveCalls]:
    loops = [BareLoop(newest(MODELS, name), 1) for name in ("tatoeba-es-en", "snips-intents")]
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([Naive(*loops).handlers()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield NaiveCalls(channel)
    await server.stop(None)


@pytest.fixture
async def echo() -> AsyncIterator[AsyncClient]:
    server = grpc.aio.server()
    sequence_pb2_grpc.add_SequenceServiceServicer_to_server(Echo(["a", "b"], 5), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with AsyncClient(f"127.0.0.1:{port}") as client:
        yield client
    await server.stop(None)


async def test_the_hand_written_service_writes_the_same_tokens(
    served: AsyncClient, naive: NaiveCalls
) -> None:
    for text in TEXTS:
        wanted = [
            token.id for token in (await served.translate(text, model="tatoeba-es-en", beam_size=1)).tokens
        ]
        opened = await naive.begin(sequence_pb2.StreamTranslateRequest(text=text))
        resume = session_pb2.Resume(session_id=opened.session_id)
        assert [(await naive.next(resume)).id for _ in wanted] == wanted
        request = sequence_pb2.TranslateRequest(texts=[text])
        request.options.max_length = len(wanted)
        assert [token.id for token in (await naive.translate(request)).tokens] == wanted


async def test_the_hand_written_service_finds_the_same_labels(served: AsyncClient, naive: NaiveCalls) -> None:
    async with served.session(model="snips-intents") as session:
        for token in (17, 300, 45):
            wanted = await session.feed_ids([token])
            request = session_pb2.Feed(token_ids=session_pb2.TokenIds(ids=[token]))
            found = await naive.feed(request, metadata=(("conversation", "one"),))
            assert [label.label for label in found.labels] == [label.label for label in wanted.labels]
            assert found.labels[0].probability == pytest.approx(wanted.probability, abs=1e-6)


async def test_the_echo_streams_a_token_a_message(echo: AsyncClient) -> None:
    async with echo.stream_translate("x") as stream:
        assert len([token async for token in stream]) == 5
    assert len((await echo.translate("x")).tokens) == 5


async def test_the_echo_answers_every_feed_of_a_session(echo: AsyncClient) -> None:
    async with echo.session() as session:
        assert [(await session.feed_ids([1, 2])).input_position for _ in range(3)] == [2, 4, 6]


def test_without_triton_the_reason_is_told(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'ModuleNotFoundError: no pytriton' >&2\nexit 1\n")
    python.chmod(0o755)
    bundle = BareLoop(newest(MODELS, "snips-intents"), 1).bundle
    with pytest.raises(NoTriton, match="no pytriton"), running_triton(python, bundle, tmp_path / "t", 1):
        pass
