"""A session in the hands of a stream, and how it is taken out of them."""

import asyncio
import math
import time
from collections.abc import Callable
from enum import Enum
from typing import Any

from service.sessions.session import Session


class Why(Enum):
    """Why a stream has to let go of its session."""

    CLAIMED = "claimed"
    """Another stream, here or on another server, has resumed it."""
    DRAINING = "draining"
    """This server is going away."""
    CLOSED = "closed"
    """Its owner has closed it."""
    MODEL_UNLOADED = "model unloaded"
    """Its model version is no longer served."""
    EXPIRED = "expired"
    """Its time is over: its client has not said a word for too long."""

    @property
    def goes_on(self) -> bool:
        """Whether the session itself is still there."""
        return self in (Why.CLAIMED, Why.DRAINING)


class Parted(Exception):
    """Raised in the stream that held the session; the message is for people."""

    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.why = why


class Holding:
    """A stream's hold on a session. It lets go only where it gives way: between requests, and between tokens."""

    def __init__(self, session: Session, clock: Callable[[], float] = time.monotonic) -> None:
        self.session = session
        self.silent_since = math.inf
        """When the stream began to wait; infinite while it does not."""
        self._clock = clock
        self.is_over = asyncio.Event()
        """Set when the stream has let go."""
        self._task = _this_task()
        self._parted: Parted | None = None
        self._gives_way = False

    def part(self, why: Why, message: str) -> None:
        """Ask the stream to let go as soon as it gives way; the first reason counts."""
        if self._parted is None:
            self._parted = Parted(why, message)
            if self._gives_way:
                self._task.cancel()

    def turn_out(self) -> None:
        """End the stream wherever it is."""
        self._task.cancel()

    def giving_way(self) -> "GivingWay":
        """Raise Parted, on the way in or at the next await inside, when the stream has to let go."""
        return GivingWay(self)

    def begin_giving_way(self) -> None:
        if self._parted is not None:
            raise self._parted
        self._task = _this_task()
        self._gives_way, self.silent_since = True, self._clock()

    def end_giving_way(self, error: BaseException | None) -> None:
        self._gives_way, self.silent_since = False, math.inf
        if not isinstance(error, asyncio.CancelledError) or self._parted is None:
            return
        if not self._task.uncancel():  # else it was cancelled by others as well
            raise self._parted from None


class GivingWay:
    """While inside, a stream can be asked to let go. Entered for every request, so no generator makes it."""

    __slots__ = ("_holding",)

    def __init__(self, holding: Holding) -> None:
        self._holding = holding

    def __enter__(self) -> None:
        self._holding.begin_giving_way()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._holding.end_giving_way(error)


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None  # a stream is always answered by a task
    return task
