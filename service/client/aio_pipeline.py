"""Many texts through an async client: several requests under way at once, answers in order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, Generic, TypeVar

from service.client.batches import Batches

R = TypeVar("R")


class AsyncPipeline(Generic[R]):
    """Reads texts in a task of its own, so that answers come as soon as they can while the source still waits.

    Iterating gives the answer to each request, in order. At most `batches.max_under_way` requests are ahead of the
    reader. An error of the source is raised after the answers to all that came before it.
    """

    def __init__(
        self,
        texts: Iterable[str] | AsyncIterable[str],
        send: Callable[[list[str]], Coroutine[Any, Any, R]],
        batches: Batches[str],
    ) -> None:
        self._texts = texts
        self._send = send
        self._batches = batches
        self._sent: deque[tuple[list[str], asyncio.Task[R]]] = deque()
        self._left = False
        self._came = asyncio.Event()
        self._room = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[tuple[list[str], "asyncio.Task[R]"]]:
        reading = asyncio.create_task(self._read())
        try:
            while request := await self._oldest():
                yield request
                self._landed()
            await reading
        finally:
            await self._leave(reading)

    async def _read(self) -> None:
        try:
            async for text in _each(self._texts):
                self._batches.add(text)
                self._send_more()
                while self._batches.full:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._batches.ended = True
            self._send_more()
            self._came.set()

    async def _oldest(self) -> tuple[list[str], "asyncio.Task[R]"] | None:
        while not self._sent and not self._batches.done:
            self._came.clear()
            await self._came.wait()
        return self._sent[0] if self._sent else None

    def _landed(self) -> None:
        self._sent.popleft()
        self._batches.landed()
        self._send_more()

    async def _leave(self, reading: "asyncio.Task[None]") -> None:
        self._left = True
        tasks = [reading, *(task for _, task in self._sent)]
        self._sent.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _send_more(self) -> None:
        while not self._left and (texts := self._batches.take()):
            self._sent.append((texts, asyncio.create_task(self._send(texts))))
            self._came.set()
        self._room.set()


async def _each(texts: Iterable[str] | AsyncIterable[str]) -> AsyncIterator[str]:
    if isinstance(texts, AsyncIterable):
        async for text in texts:
            yield text
    else:
        for text in texts:
            yield text
            await asyncio.sleep(0)  # a long list leaves the loop to others
