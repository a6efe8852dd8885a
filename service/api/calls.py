"""The calls that are under way, so that a server that goes away can wait for them and turn out the rest."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from service.errors import Draining

GOING_AWAY = "the server is going away; try again elsewhere, or here when it is back"
QUIET_S = 1.0
"""How long a stream may be silent before a server that goes away takes it for idle."""


class Calls:
    """Open until `close`; then no call comes in, and those inside may end."""

    def __init__(self) -> None:
        self._inside: set[asyncio.Task[Any]] = set()
        self._idle_since: dict[asyncio.Task[Any], float] = {}
        self._turned_out: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._none_inside = asyncio.Event()

    def __len__(self) -> int:
        return len(self._inside)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The current task answers a call while inside; Draining once closed.

        A call that is turned out ends with Draining, one whose caller left with the CancelledError as it came.
        """
        self._check_open()
        task = this_task()
        self._inside.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._turned_out:
                raise
            task.uncancel()
            raise Draining(GOING_AWAY) from None
        finally:
            self._inside.discard(task)
            self._turned_out.discard(task)
            self._tell_if_empty()

    def idle(self) -> "Idle":
        """The current task waits for its caller while inside: nothing is lost when it is turned out."""
        return Idle(self._idle_since)

    def close(self) -> None:
        """Let no call in any more."""
        self._closed = True
        self._tell_if_empty()

    async def wait_until_empty(self, timeout_s: float) -> bool:
        """Wait for those inside to end, and turn out who has been idle; whether all ended in time."""
        until = time.monotonic() + timeout_s
        while self._inside and time.monotonic() < until:
            self._turn_out(
                task for task, since in self._idle_since.items() if since < time.monotonic() - QUIET_S
            )
            try:
                async with asyncio.timeout(min(QUIET_S / 4, timeout_s)):
                    await self._none_inside.wait()
            except TimeoutError:
                continue
        return not self._inside

    def turn_out(self) -> None:
        """End what is still inside."""
        self._turn_out(self._inside)

    def _turn_out(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        for task in set(tasks) - self._turned_out:
            self._turned_out.add(task)
            task.cancel()

    def _check_open(self) -> None:
        if self._closed:
            raise Draining(GOING_AWAY)

    def _tell_if_empty(self) -> None:
        if self._closed and not self._inside:
            self._none_inside.set()


class Idle:
    """Entered for every request of a stream, so no generator makes it."""

    __slots__ = ("_since", "_task")

    def __init__(self, since: dict[asyncio.Task[Any], float]) -> None:
        self._since = since
        self._task = this_task()

    def __enter__(self) -> None:
        self._since[self._task] = time.monotonic()

    def __exit__(self, *_: object) -> None:
        del self._since[self._task]


def this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None  # a call is always answered by a task
    return task
