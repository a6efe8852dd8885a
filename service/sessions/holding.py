"""A session in the hands of a stream, and how it is taken out of them."""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

    @contextmanager
    def giving_way(self) -> Iterator[None]:
        """Raise Parted, on the way in or at the next await inside, when the stream has to let go."""
        if self._parted is not None:
            raise self._parted
        self._task = task = _this_task()
        self._gives_way, self.silent_since = True, self._clock()
        try:
            yield
        except asyncio.CancelledError:
            parted = self._why_parted()
            if parted is None or task.uncancel():  # cancelled by others, or by others as well
                raise
            raise parted from None
        finally:
            self._gives_way, self.silent_since = False, math.inf

    def _why_parted(self) -> Parted | None:
        return self._parted


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None  # a stream is always answered by a task
    return task
