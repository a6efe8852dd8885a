"""Everything that a server counts, done to it once: what a dashboard has to show."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

import grpc

from seqserve.v1 import model_pb2, sequence_pb2_grpc, session_pb2
from service.client import AsyncClient, Overloaded

TRANSLATOR, CLASSIFIER = "one-way", "intents"
LONG = 2000
"""Tokens: more than are written while a test looks."""


async def some_of_everything(address: str) -> None:
    """Whole texts, streams, sessions that are resumed, expire, and send a turn again."""
    async with AsyncClient(address, timeout=60) as client:
        await client.translate(["el gato", "la casa", "¿dónde está?"], model=TRANSLATOR, max_length=20)
        await asyncio.gather(*(_streamed(client, number) for number in range(8)))
        async with client.session(model=CLASSIFIER, ttl_s=0.5, durability="every step") as session:
            await session.feed("uno ")
            session.detach()
        async with client.session(model=CLASSIFIER, durability="every step") as session:
            await session.feed("uno ")
            session.detach()
            async with client.resume(session.session_id) as resumed:
                await resumed.feed("dos ")
    await _twice(address)


async def _streamed(client: AsyncClient, number: int) -> None:
    async for _ in client.stream_translate(
        "el gato " * (1 + number), model=TRANSLATOR, min_length=40, max_length=40
    ):
        pass


async def _twice(address: str) -> None:
    """A turn that comes again, as after an answer that was lost, and another request in its place."""
    opening = session_pb2.Open(model=model_pb2.ModelSelector(name=CLASSIFIER))
    feeds = [
        session_pb2.SessionRequest(feed=session_pb2.Feed(text=text), turn=0) for text in ("a ", "a ", "b ")
    ]

    async def requests() -> AsyncIterator[session_pb2.SessionRequest]:
        for request in (session_pb2.SessionRequest(open=opening), *feeds):
            yield request

    async with grpc.aio.insecure_channel(address) as channel:
        with suppress(grpc.aio.AioRpcError):
            async for _ in sequence_pb2_grpc.SequenceServiceStub(channel).Session(requests()):
                pass


async def crowd(address: str, num: int, is_over: asyncio.Event) -> None:
    """Keep `num` long texts under way; who is refused tries again."""
    async with AsyncClient(address, timeout=60, max_attempts=1) as client, asyncio.TaskGroup() as group:
        for _ in range(num):
            group.create_task(_long_texts(client, is_over))


async def _long_texts(client: AsyncClient, is_over: asyncio.Event) -> None:
    while not is_over.is_set():
        try:
            stream = client.stream_translate("el gato", model=TRANSLATOR, min_length=LONG, max_length=LONG)
            async for _ in stream:
                if is_over.is_set():
                    return
        except Overloaded:
            await asyncio.sleep(0.05)


def is_finite(values: Iterable[float]) -> bool:
    """Whether a query was answered with a number at least once."""
    return any(value == value and abs(value) != float("inf") for value in values)
