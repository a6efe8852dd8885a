"""How long a call waits for its caller: to send what he began to send, and to read what he asked for.

One look a second over the calls that wait is cheaper than a timer for each message. A call whose caller takes too long
is ended; whatever it held is free again, a session among it, which can be resumed.

What has been given to gRPC cannot be taken back: it lies there until it is read, or its connection ends. So when too
much of it lies there for long, whoever lets several answers lie gets no new ones; nobody else notices.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import grpc
import structlog

from service.config import ServerSettings
from service.errors import CallerTooSlow, Overloaded
from service.metrics import Metrics

Task = asyncio.Task[Any]
Owes = Literal["sends", "opens", "reads", "reads the end"]

A_FEW = 8
"""So many unread answers on one connection say nothing about it."""
LONG_S = 1.0
"""An answer that lies unread for longer is not merely on its way."""

Context = grpc.aio.ServicerContext[Any, Any]
NOTHING: tuple[Owes, float, str] = "reads", 0.0, ""

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
            "reads the end": math.inf,  # nothing would be free again
        }
        self._max_unread = settings.max_unread
        self._metrics = metrics
        self._clock = clock
        self._waiting: dict[Task, tuple[Owes, float, str]] = {}
        self._unread: Counter[str] = Counter()
        """Answers that lie there, by connection."""
        self._too_many = False
        self._turned_out: set[Task] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def num_unread(self) -> int:
        """Answers that lie there, on all connections."""
        return self._unread.total()

    def check(self, context: Context) -> None:
        """Overloaded where too many answers lie unread, and several on the connection of a new call."""
        if self._too_many and (number := self._unread[context.peer()]) >= A_FEW:
            raise Overloaded(
                f"{number:,} answers on this connection lie unread, and too many elsewhere; read them first",
                retry_after_s=LONG_S,
            )

    def begin(self, task: Task, owes: Owes, connection: str = "") -> None:
        """From now on the call that this task answers waits for its caller; on that connection, where it is to read."""
        self._waiting[task] = owes, self._clock(), connection
        if connection:
            self._unread[connection] += 1

    def end(self, task: Task) -> None:
        """It waits no more."""
        _, _, connection = self._waiting.pop(task, NOTHING)
        if connection:
            self._unread[connection] -= 1
            if not self._unread[connection]:
                del self._unread[connection]

    def answered(self, task: Task, context: Context) -> None:
        """All has been said; gRPC holds what was not read yet for as long as this task goes on."""
        self.end(task)
        self.begin(task, "reads the end", context.peer())
        task.add_done_callback(self.end)

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
        now, num_unread = self._clock(), 0
        for task, (owes, since, connection) in list(self._waiting.items()):
            num_unread += bool(connection) and now - since > LONG_S
            if task.done():
                self.end(task)
            elif now - since > self._limits[owes]:
                self.end(task)
                self._turned_out.add(task)
                task.add_done_callback(self._turned_out.discard)
                task.cancel()
                self._metrics.slow_callers.labels(owes).inc()
                log.info("a caller was too slow", owes=owes, seconds=round(now - since, 1))
        if self._too_many is not (num_unread > self._max_unread):
            self._too_many = not self._too_many
            log.warning("answers lie unread", number=num_unread, too_many=self._too_many)
