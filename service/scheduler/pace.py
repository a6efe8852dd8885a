"""How long a job will take, by how many are under way and how fast such many came to their end of late.

They leave as fast as they come, so n of them that end at intervals of g take n · g each (Little 1961). The intervals
are told apart by how many were under way, since many share batches and few do not.
"""

import time
from collections.abc import Callable

NUM_REMEMBERED = 256
"""Jobs that an interval is the mean of, at most; half of them are then forgotten."""
REMEMBERED_S = 2.0
NUM_AT_LEAST = 16
"""Jobs before which nothing is foretold, and which are remembered whatever their age."""


class Interval:
    """The mean time between two ends."""

    __slots__ = ("_num", "_seconds")

    def __init__(self) -> None:
        self._num = 0.0
        self._seconds = 0.0

    def add(self, seconds: float) -> None:
        self._num += 1
        self._seconds += seconds
        if self._num > NUM_REMEMBERED or (self._seconds > REMEMBERED_S and self._num > 2 * NUM_AT_LEAST):
            self._num /= 2
            self._seconds /= 2

    @property
    def mean_s(self) -> float:
        """0 where too few have ended to know."""
        return self._seconds / self._num if self._num >= NUM_AT_LEAST else 0.0


class Pace:
    """Is told when jobs begin and end; foretells how long as many take. What is not known is foretold as nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._intervals: dict[int, Interval] = {}
        """By the number of binary digits of how many were under way."""
        self._last = 0.0

    def began(self, num_active: int) -> None:
        """A job has begun; so many are under way now."""
        if num_active == 1:
            self._last = self._clock()

    def ended(self, num_active: int) -> None:
        """A job is done; so many were under way with it."""
        now = self._clock()
        self._intervals.setdefault(num_active.bit_length(), Interval()).add(now - self._last)
        self._last = now

    def interval_s(self, num_active: int) -> float:
        """Between two ends where so many are under way; 0 where that is not known."""
        found = self._intervals.get(num_active.bit_length())
        return found.mean_s if found else 0.0
