"""How much of what is asked of a server is sent to it: what it turns away of late is held back here.

"Client-side throttling" (Beyer et al. 2016, "Site Reliability Engineering", ch. 21): a call is held back with
probability

    max(0, (asked - ratio * taken - free) / (asked + 1))

where both counts are of the last seconds: calls that somebody here wanted to make, and those of them that the server
did not refuse. So a server that refuses most is sent `ratio` times what it takes, and `free` calls besides. A crowd is
no overload: nothing is held back before the server has refused for a while.
"""

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from service.client.errors import InvalidRequest

NUM_SLOTS = 10
"""Of a window: what is older than it is forgotten by tenths of it."""


@dataclass(frozen=True, slots=True)
class HoldingBack:
    """When calls are held back; each server has a window of its own."""

    ratio: float = 1.5
    """K: so many are sent for each one that the server takes. Less wastes less of the server; with more it is seen
    sooner that the server takes more again."""
    window_s: float = 1.0
    """How long a refusal is remembered, in seconds."""
    free: int = 4
    """So many in a window are never held back: who asks little loses nothing, and who asks much goes on asking a server
    that has refused all."""
    after_s: float = 1.0
    """For so many seconds the server must have refused, and never not for a whole window: a crowd that comes at once is
    no overload."""

    def __post_init__(self) -> None:
        if not (self.ratio >= 1 and self.window_s > 0 and self.free >= 0 and self.after_s >= 0):
            raise InvalidRequest(
                f"{self}: ratio must be 1 or more, window_s more than 0 seconds, free 0 calls or more, "
                "after_s 0 seconds or more"
            )


USUAL = HoldingBack()


@dataclass(slots=True)
class Slot:
    """Part of a window; calls count in the one in which they were asked."""

    number: int
    asked: int = 0
    taken: int = 0
    """Sent, and not refused so far."""


class Throttle:
    """Counts calls to one server. May be used on any thread.

    A call that is under way counts as taken until it is refused: a refusal is quick, and an answer is not. So a crowd
    is not held back for what nobody knows yet.
    """

    def __init__(
        self,
        settings: HoldingBack,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`chance` gives numbers from 0 up to 1."""
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._slot_s = settings.window_s / NUM_SLOTS
        self._slots: deque[Slot] = deque([Slot(-1)], maxlen=NUM_SLOTS)
        self._refused_from = self._refused_until = float("-inf")
        """First and last refusal of those that came without a pause; what is held back would be one."""
        self._lock = Lock()

    def ask(self) -> Slot | None:
        """For the next call: the slot in which it counts as sent; None where it is held back."""
        with self._lock:
            is_held = self._is_overload() and self._chance() < self._share_held()
            if is_held:
                self._refused_until = self._clock()
            slot = self._slot()
            slot.asked += 1
            slot.taken += not is_held
            return None if is_held else slot

    def send(self) -> Slot:
        """The same for a call that must not be held back."""
        with self._lock:
            slot = self._slot()
            slot.asked += 1
            slot.taken += 1
            return slot

    def refused(self, slot: Slot) -> None:
        """The server has refused a call that counted in this slot, as it has too much to do."""
        with self._lock:
            slot.taken -= 1
            now = self._clock()
            if now - self._refused_until > self._settings.window_s:
                self._refused_from = now
            self._refused_until = now

    def _is_overload(self) -> bool:
        return self._refused_until - self._refused_from >= self._settings.after_s

    def _share_held(self) -> float:
        oldest = self._slot().number - NUM_SLOTS
        recent = [slot for slot in self._slots if slot.number > oldest]
        asked, taken = sum(slot.asked for slot in recent), sum(slot.taken for slot in recent)
        return (asked - self._settings.ratio * taken - self._settings.free) / (asked + 1)

    def _slot(self) -> Slot:
        """The present one."""
        number = int(self._clock() / self._slot_s)
        if self._slots[-1].number < number:
            self._slots.append(Slot(number))
        return self._slots[-1]
