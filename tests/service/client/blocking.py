"""The async client with the sync client's face, so that one suite of tests proves both."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from service.client import AsyncClient, AsyncSession, AsyncTokenStream, Token

T = TypeVar("T")


class Blocking:
    """Runs what an async object returns on one event loop: coroutines to their end, iterators item by item."""

    def __init__(self, inner: Any, runner: asyncio.Runner) -> None:
        self._inner = inner
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return self._calling(value) if callable(value) else value

    def _calling(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            async def on_the_loop() -> Any:
                result = method(*args, **options)
                return await result if isinstance(result, Coroutine) else result

            return self._wrapped(self._runner.run(on_the_loop()))

        return call

    def _wrapped(self, result: Any) -> Any:
        if isinstance(result, AsyncSession):
            session = Blocking(result, self._runner)
            self._runner.run(result.__aenter__())
            return session
        if isinstance(result, AsyncTokenStream):
            return BlockingStream(result, self._runner)
        if isinstance(result, AsyncIterator):
            return each(result, self._runner)
        return result

    def __enter__(self) -> "Blocking":
        return self

    def __exit__(self, *reason: object) -> None:
        self._runner.run(self._inner.__aexit__(*reason))


class BlockingStream(Blocking):
    def __iter__(self) -> Iterator[Token]:
        return each(self._inner, self._runner)

    def __next__(self) -> Token:
        items: Iterator[Token] = each(self._inner, self._runner)
        return next(items)


def each(items: AsyncIterator[T], runner: asyncio.Runner) -> Iterator[T]:
    async def following() -> list[T]:
        return [item async for item in _first(items)]

    try:
        while found := runner.run(following()):
            yield from found
    finally:
        if hasattr(items, "aclose"):
            runner.run(items.aclose())


async def _first(items: AsyncIterator[T]) -> AsyncIterator[T]:
    try:
        yield await anext(items)
    except StopAsyncIteration:
        return


def blocking(address: str | list[str], runner: asyncio.Runner, **settings: Any) -> Blocking:
    return Blocking(AsyncClient(address, **settings), runner)
