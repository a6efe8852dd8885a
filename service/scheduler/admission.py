"""Whether more jobs are taken: by their number, by how long they would wait, by until when their answer is of use.

A queue that is long for a moment takes in a burst. One that stays long makes everybody wait and nobody faster; so once
it has not been short for a while, it is kept short (Nichols and Jacobson 2012; Maurer 2015, "Fail at Scale").
"""

import time
from collections.abc import Callable

from service.config import SchedulerSettings
from service.errors import Overloaded
from service.scheduler.pace import Pace
from service.until import FOR_EVER

BURST_S = 1.0
"""How long a queue may be long."""
SHORT = 0.5
"""Of `standing_wait_s`: a wait that counts as short."""
PRUDENCE = 0.8
"""Of the time that a caller has, as much as his job is expected to take."""
NUM_FREE = 8
"""So many jobs are begun whatever is expected: of a few nothing can be foretold."""
LEAST_RETRY_S, LONGEST_RETRY_S = 0.1, 10.0


class Admission:
    """Refuses with Overloaded, at once. Is asked and told under its scheduler's lock."""

    def __init__(
        self, name: str, settings: SchedulerSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._settings = settings
        self._clock = clock
        self._pace = Pace(clock)
        self._short_at = clock()
        self.began, self.ended = self._pace.began, self._pace.ended

    def check(self, num_active: int, num_more: int, until: float) -> None:
        """Overloaded where so many more are not taken beside those that are under way."""
        settings, now = self._settings, self._clock()
        interval_s = self._pace.interval_s(num_active)
        wait_s = max(0, num_active - settings.max_batch) * interval_s
        if num_active + num_more > settings.max_queue:
            words = f"{self._name} has {num_active} jobs to do and takes no {num_more} more"
            raise _overloaded(words, num_active * interval_s / 10)
        if wait_s > self._longest_s(wait_s, now):
            raise _overloaded(f"{self._name} is {wait_s:.1f} s behind and takes no more", wait_s)
        if num_active < NUM_FREE or until == FOR_EVER:
            return
        whole_s = (num_active + num_more) * interval_s
        if whole_s > PRUDENCE * (until - now):
            words = f"{self._name} would need {whole_s:.2g} s for it, longer than the caller waits"
            raise _overloaded(words, whole_s)

    def _longest_s(self, wait_s: float, now: float) -> float:
        """How long one may wait at present."""
        if wait_s <= SHORT * self._settings.standing_wait_s:
            self._short_at = now
        is_burst = now - self._short_at <= BURST_S
        return self._settings.max_wait_s if is_burst else self._settings.standing_wait_s


def _overloaded(words: str, retry_after_s: float) -> Overloaded:
    return Overloaded(words, retry_after_s=min(max(retry_after_s, LEAST_RETRY_S), LONGEST_RETRY_S))
