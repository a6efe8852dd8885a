"""The calls that are under way, so that a server that goes away can wait for them and turn out the rest."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from service.errors import Draining

GOING_AWAY = "the server is going away; try again elsewhere, or here when it is back"


class Calls:
    """Open until `close`; then no call comes in, and those inside may end."""

    def __init__(self) -> None:
        self._inside: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._turned_out = False
        self._none_inside = asyncio.Event()

    def __len__(self) -> int:
        return len(self._inside)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The current task answers a call while inside; Draining once closed.

        A call that is turned out ends with Draining, one whose caller left with the CancelledError as it came.
        """
        self._check_open()
        task = _this_task()
        self._inside.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self._turned_out:
                raise
            task.uncancel()
            raise Draining(GOING_AWAY) from None
        finally:
            self._inside.discard(task)
            if self._closed and not self._inside:
                self._none_inside.set()

    def _check_open(self) -> None:
        if self._closed:
            raise Draining(GOING_AWAY)

    def close(self) -> None:
        """Let no call in any more."""
        self._closed = True
        if not self._inside:
            self._none_inside.set()

    async def wait_until_empty(self, timeout_s: float) -> bool:
        """Wait for those inside to end; whether all did in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._none_inside.wait()
        except TimeoutError:
            return False
        return True

    def turn_out(self) -> None:
        """End what is still inside."""
        self._turned_out = True
        for task in self._inside:
            task.cancel()


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None  # a call is always answered by a task
    return task
