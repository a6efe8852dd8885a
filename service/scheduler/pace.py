"""How long a job will take, by how many are under way and how long such as had as many beside them took of late.

Where n are under way and one ends every g seconds, a job takes n · g (Little 1961). So each that is done tells of a g:
how long it took, by how many there were on average while it was there. They are told apart by that number, since many
share batches and few do not. What lies between two ends would tell less: it is long after many have come, when there
are most, and short before the last of them end.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a job came."""

    at: float
    job_seconds: float
    """Which all jobs together had been under way by then."""


class Pace:
    """Is told when jobs come and go; foretells how long as many take. What is not known is foretold as nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._intervals: dict[int, Interval] = {}
        """By the number of binary digits of how many were under way."""
        self._now = Arrival(clock(), 0.0)
        self._num_active = 0

    def began(self, num_active: int) -> Arrival:
        """Jobs have come, with which so many are under way; what their end is to be told with."""
        return self._pass(num_active)

    def ended(self, arrival: Arrival, num_active: int, *, done: bool = True) -> None:
        """A job has gone, and so many are left; one that is not done would have taken as long at least."""
        now = self._pass(num_active)
        if (took_s := now.at - arrival.at) <= 0:
            return
        mean_active = (now.job_seconds - arrival.job_seconds) / took_s
        interval = self._intervals.setdefault(round(mean_active).bit_length(), Interval())
        if done or took_s / mean_active > interval.mean_s:
            interval.add(took_s / mean_active)

    def interval_s(self, num_active: int) -> float:
        """Between two ends where so many are under way; 0 where that is not known."""
        found = self._intervals.get(num_active.bit_length())
        return found.mean_s if found else 0.0

    def _pass(self, num_active: int) -> Arrival:
        """Time has passed, in which as many were under way as were told last."""
        now = self._clock()
        self._now = Arrival(now, self._now.job_seconds + self._num_active * (now - self._now.at))
        self._num_active = num_active
        return self._now
