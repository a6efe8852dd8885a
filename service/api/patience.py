"""How long a call waits for its caller: to send what he began to send, and to read what he asked for.

One look a second over the calls that wait is cheaper than a timer for each message. A call whose caller takes too long
is ended; whatever it held is free again, a session among it, which can be resumed.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import structlog

from service.config import ServerSettings
from service.errors import CallerTooSlow
from service.metrics import Metrics

Task = asyncio.Task[Any]
Owes = Literal["sends", "opens", "reads"]

log = structlog.get_logger("seqserve.calls")


class Patience:
    """The calls that wait for their callers. `sweep` is called again and again."""

    def __init__(
        self, settings: ServerSettings, metrics: Metrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits: dict[Owes, float] = {
            "sends": settings.max_request_wait_s,
            "opens": settings.max_opening_s,
            "reads": settings.max_unread_s,
        }
        self._metrics = metrics
        self._clock = clock
        self._waiting: dict[Task, tuple[Owes, float]] = {}
        self._turned_out: set[Task] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, task: Task, owes: Owes) -> None:
        """From now on the call that this task answers waits for its caller."""
        self._waiting[task] = owes, self._clock()

    def end(self, task: Task) -> None:
        """It waits no more."""
        self._waiting.pop(task, None)

    @contextmanager
    def waiting(self, task: Task, owes: Owes) -> Iterator[None]:
        self.begin(task, owes)
        try:
            yield
        finally:
            self.end(task)

    def turned_out(self, task: Task) -> CallerTooSlow | None:
        """Why the call was cancelled, if it was here; told once."""
        if task not in self._turned_out:
            return None
        self._turned_out.remove(task)
        task.uncancel()
        return CallerTooSlow("the caller did not send, or did not read, for too long; call again")

    async def sweep(self) -> None:
        """End the calls whose callers take too long, and forget those that have ended."""
        now = self._clock()
        for task, (owes, since) in list(self._waiting.items()):
            if task.done():
                self.end(task)
            elif now - since > self._limits[owes]:
                self.end(task)
                self._turned_out.add(task)
                task.add_done_callback(self._turned_out.discard)
                task.cancel()
                self._metrics.slow_callers.labels(owes).inc()
                log.info("a caller was too slow", owes=owes, seconds=round(now - since, 1))
