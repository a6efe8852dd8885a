"""Lets an operation run to its end, whatever becomes of the caller."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from service.errors import StoreAway

T = TypeVar("T")


class Shield:
    """Operations that nobody can cancel: a caller that leaves, or has waited too long, leaves them running.

    A write that was cut off half way, or a reply that nobody has taken off its connection, would hurt the next caller.
    """

    def __init__(self, kind: str, timeout_s: float) -> None:
        self._kind = kind
        self._timeout_s = timeout_s
        self._running: set[asyncio.Future[object]] = set()

    async def run(self, operation: Awaitable[T]) -> T:
        """What the operation gives; StoreAway when that takes longer than `timeout_s`."""
        future = asyncio.ensure_future(operation)
        self._keep(future)
        await asyncio.wait([future], timeout=self._timeout_s)
        if not future.done():
            raise StoreAway(f"the {self._kind} store has not answered within {self._timeout_s:g} s")
        return future.result()

    async def settle(self) -> None:
        """Wait for what is still running, for as long as one operation may take."""
        if self._running:
            await asyncio.wait(list(self._running), timeout=self._timeout_s)

    def _keep(self, future: "asyncio.Future[T]") -> None:
        # The loop itself holds tasks weakly.
        self._running.add(future)  # type: ignore[arg-type]
        future.add_done_callback(self._let_go)

    def _let_go(self, future: "asyncio.Future[T]") -> None:
        self._running.discard(future)
        if not future.cancelled():
            future.exception()  # taken note of: the caller may have left
