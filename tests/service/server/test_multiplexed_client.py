"""A client whose sessions and streams share one stream: they are what they would be on their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from service.api.multiplex import MultiplexServicer
from service.client import AsyncClient, Cancelled, InvalidRequest, Overloaded, Unavailable
from service.client import Client as SyncClient
from service.errors import Draining
from service.multiplex.window import WINDOW
from tests.fakes.frames import (
    LONG,
    MULTIPLEX,
    WORDS,
)
from tests.fakes.toy_server import Toys, serve_toys
from tests.fakes.waiting import until


async def test_100_sessions_of_one_client_say_what_each_says_alone(tmp_path: Path) -> None:
    async def said(client: AsyncClient, text: str) -> list[Any]:
        async with client.session(model="toy-es-en") as session:
            await session.feed(text)
            return [token async for token in session.generate()]

    async with serve_toys(tmp_path) as toys:
        texts = [" ".join(WORDS[at % 3 :] + WORDS[: at % 3]) for at in range(100)]
        async with AsyncClient(toys.server.address) as client:
            alone = [await said(client, text) for text in texts[:3]]
        async with AsyncClient(toys.server.address, multiplex=True) as client:
            together = await asyncio.gather(*(said(client, text) for text in texts))
        assert together == [alone[at % 3] for at in range(100)]
        labels = {"method": MULTIPLEX, "code": "OK"}
        await until(lambda: toys.num_calls("Session", "OK") >= 103)  # a call is counted after its answer
        assert toys.num_calls("Session", "OK") == 103  # each is counted, and not what carried them
        assert toys.server.metrics.registry.get_sample_value("seqserve_requests_total", labels) in (
            None,
            0,
            1,
        )


async def closed_by(kind: str, address: str) -> None:
    """A session that a client of this kind opens, feeds and closes."""

    def synchronously() -> None:
        with SyncClient(address) as client, client.session(model="toy-es-en") as session:
            session.feed("uno ")

    if kind == "sync":
        await asyncio.to_thread(synchronously)
        return
    async with (
        AsyncClient(address, multiplex=kind == "multiplexed") as client,
        client.session(model="toy-es-en") as session,
    ):
        await session.feed("uno ")


@pytest.mark.parametrize("kind", ["sync", "async", "multiplexed"])
async def test_a_session_that_its_client_closes_counts_as_one_that_went_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Though its server is slow to end the stream once it has said that the session is closed."""
    async with serve_toys(tmp_path) as toys:
        hold = toys.server.sessions.hold

        @asynccontextmanager
        async def lingering(*given: Any) -> AsyncIterator[Any]:
            async with hold(*given) as holding:
                yield holding
            await asyncio.sleep(0.1)

        monkeypatch.setattr(toys.server.sessions, "hold", lingering)
        await closed_by(kind, toys.server.address)
        await until(lambda: toys.num_calls("Session", "OK") + toys.num_calls("Session", "CANCELLED") == 1)
        assert toys.num_calls("Session", "OK") == 1


async def test_what_was_not_answered_when_the_stream_broke_is_asked_again_and_its_reader_reads_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, breaks = MultiplexServicer.Multiplex, [1, 2]

    async def breaking(self: Any, requests: Any, context: Any) -> Any:
        if breaks:
            await anext(requests)
            raise Draining(f"break {breaks.pop()}")
        async for answer in whole(self, requests, context):
            yield answer

    monkeypatch.setattr(MultiplexServicer, "Multiplex", breaking)

    async def said(toys: Toys) -> str:
        async with AsyncClient(toys.server.address, multiplex=True) as client, asyncio.timeout(60):
            return (await client.stream_translate("uno", model="toy-es-en").finish()).text

    async with serve_toys(tmp_path) as toys:
        assert await said(toys) == "one"
        assert not breaks
        breaks[:] = [3] * 9
        with pytest.raises(Unavailable, match="break 3"):
            await said(toys)


async def test_requests_are_paid_for_call_by_call(tmp_path: Path) -> None:
    async with (
        serve_toys(tmp_path, quotas={"requests_per_s": 0.001, "burst_s": 3000}) as toys,
        AsyncClient(toys.server.address, multiplex=True, max_attempts=1) as client,
    ):
        for _ in range(3):
            assert (await client.stream_translate("uno", model="toy-es-en").finish()).text == "one"
        with pytest.raises(Overloaded):
            await client.stream_translate("uno", model="toy-es-en").finish()


async def test_a_client_whose_server_is_old_is_told_what_to_do(tmp_path: Path) -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with AsyncClient(f"127.0.0.1:{port}", multiplex=True) as client:
        with pytest.raises(Exception, match="without multiplex=True"):
            await client.stream_translate("uno", model="toy-es-en").finish()
    await server.stop(None)


async def test_the_client_that_is_closed_ends_its_streams(tmp_path: Path) -> None:
    async with serve_toys(tmp_path) as toys:
        toys.engine().hold()
        client = AsyncClient(toys.server.address, multiplex=True)
        reading = asyncio.create_task(client.stream_translate(LONG, model="toy-es-en").finish())
        await asyncio.to_thread(toys.engine().running.wait)
        await client.close()
        with pytest.raises((Cancelled, Unavailable, asyncio.CancelledError)):
            await reading


@pytest.mark.parametrize("left", ["dropped", "cancelled"])
async def test_a_stream_that_is_left_by_its_reader_frees_the_server_at_once(
    tmp_path: Path, left: str
) -> None:
    async with serve_toys(tmp_path) as toys, AsyncClient(toys.server.address, multiplex=True) as client:
        toys.engine().hold()
        stream = client.stream_translate(LONG, model="toy-es-en")
        reading = asyncio.ensure_future(anext(stream))
        await asyncio.to_thread(toys.engine().running.wait)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        if left == "cancelled":
            stream.cancel()
        del stream, reading
        while toys.jobs_active():  # noqa: ASYNC110 - it tells nobody; its batch still runs
            await asyncio.sleep(0.01)
        toys.engine().let_go()


async def test_a_message_may_be_larger_than_a_window(tmp_path: Path) -> None:
    async with serve_toys(tmp_path) as toys, AsyncClient(toys.server.address, multiplex=True) as client:
        with pytest.raises(InvalidRequest, match="bytes; the limit is"):
            await client.stream_translate("uno " * WINDOW, model="toy-es-en").finish()
        async with client.session(model="toy-es-en") as session:
            with pytest.raises(InvalidRequest, match="bytes; the limit is"):
                await session.feed("uno " * WINDOW)


def test_threads_have_streams_of_their_own() -> None:
    with pytest.raises(InvalidRequest, match="AsyncClient"):
        SyncClient(multiplex=True)
