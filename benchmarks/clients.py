"""Clients of a seqserve server, or of anything that speaks like one: each works until its window is over."""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any, TypeVar

import grpc

from benchmarks.window import Client, Window
from benchmarks.work import Text
from seqserve.v1.model_pb2 import ModelSelector
from seqserve.v1.sequence_pb2_grpc import SequenceServiceStub
from seqserve.v1.session_pb2 import Feed, Open, SessionRequest, TokenIds
from service.client import AsyncClient

T = TypeVar("T")


def streams(client: AsyncClient, model: str, texts: Sequence[Text], number: int) -> list[Client]:
    """Each streams one translation after the other; every token is an event of its own."""

    def streaming(start: int) -> Client:
        async def stream_on(window: Window) -> None:
            for text in spread(texts, start, number):
                if window.over:
                    return
                await _stream(client, model, text.text, window)

        return stream_on

    return [streaming(start) for start in range(number)]


def arrivals(client: AsyncClient, model: str, texts: Sequence[Text], per_s: float, seed: int) -> Client:
    """Streams that begin at random (a Poisson process), whatever becomes of those before."""

    async def arrive(window: Window) -> None:
        chance, due, tasks = random.Random(seed), time.perf_counter(), set[asyncio.Task[None]]()
        for text in cycle(texts):
            due += chance.expovariate(per_s)
            await asyncio.sleep(due - time.perf_counter())
            if window.over:
                break
            task = asyncio.create_task(_stream(client, model, text.text, window, asked=due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    return arrive


def feeds(
    client: AsyncClient,
    model: str,
    requests: Sequence[Sequence[int]],
    number: int,
    *,
    durability: str = "none",
) -> list[Client]:
    """Each holds one session and feeds it one subword after the other, each as soon as the last one is answered."""

    def feeding(start: int) -> Client:
        async def feed_on(window: Window) -> None:
            async with client.session(model=model, durability=durability) as session:
                for ids in spread(requests, start, number):
                    for at, token in enumerate(ids, 1):
                        if window.over:
                            return
                        asked = time.perf_counter()
                        await session.feed_ids([token], end_of_input=at == len(ids))
                        window.next(asked)

        return feed_on

    return [feeding(start) for start in range(number)]


def stub_feeds(
    channel: grpc.aio.Channel, model: str, requests: Sequence[Sequence[int]], number: int
) -> list[Client]:
    """As `feeds`, by the generated stubs alone: no resuming, no deadlines, nothing kept to be sent again."""
    stub: Any = SequenceServiceStub(channel)

    def feeding(start: int) -> Client:
        async def feed_on(window: Window) -> None:
            call = stub.Session()
            await call.write(SessionRequest(open=Open(model=ModelSelector(name=model))))
            await call.read()
            for ids in spread(requests, start, number):
                for at, token in enumerate(ids, 1):
                    if window.over:
                        call.cancel()
                        return
                    asked = time.perf_counter()
                    fed = Feed(token_ids=TokenIds(ids=[token]), end_of_input=at == len(ids))
                    await call.write(SessionRequest(feed=fed))
                    await call.read()
                    window.next(asked)

        return feed_on

    return [feeding(start) for start in range(number)]


def bursts(client: AsyncClient, model: str, texts: Sequence[Text], number: int) -> Client:
    """So many whole texts at once, a request each; the next burst when all are answered."""

    async def ask(text: Text, window: Window) -> None:
        asked = time.perf_counter()
        translation = await client.translate(text.text, model=model, beam_size=1)
        window.whole(asked, len(translation.tokens))

    async def burst_on(window: Window) -> None:
        endless = cycle(texts)
        while not window.over:
            await asyncio.gather(*(ask(text, window) for text in islice(endless, number)))

    return burst_on


def spread(items: Sequence[T], start: int, number: int) -> Iterator[T]:
    """The items for ever, evenly spread starts for `number` clients."""
    return islice(cycle(items), start * len(items) // number, None)


async def _stream(
    client: AsyncClient, model: str, text: str, window: Window, asked: float | None = None
) -> None:
    last = 0.0
    asked = time.perf_counter() if asked is None else asked
    async with client.stream_translate(text, model=model) as tokens:
        async for _ in tokens:
            last = window.next(last) if last else window.first(asked)
