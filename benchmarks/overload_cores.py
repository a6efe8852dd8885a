"""Which cores a server and its callers run on, and how busy these are."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

IDLE, WAITING = 3, 4
"""Where /proc/stat counts the time in which a core did nothing."""


@dataclass(frozen=True)
class Cores:
    """Those of the server and those of the callers: the same, or none in common."""

    server: frozenset[int]
    callers: frozenset[int]

    @classmethod
    def of_machine(cls, *, apart: bool) -> "Cores":
        """Those that this process may use: the first half for the server; of one there are no halves."""
        there = sorted(os.sched_getaffinity(0))
        if not apart or len(there) < 2:
            return cls(frozenset(there), frozenset(there))
        half = len(there) // 2
        return cls(frozenset(there[:half]), frozenset(there[half:]))

    def __str__(self) -> str:
        if self.server == self.callers:
            return f"server and callers share {_named(self.server)}"
        return f"the server has {_named(self.server)} and the callers have {_named(self.callers)}"


@contextmanager
def running_on(cores: frozenset[int]) -> Iterator[None]:
    """What is begun inside runs on these cores, as does this thread while inside."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Busy:
    """How busy cores have been since this was made, whoever made them so."""

    def __init__(self) -> None:
        self._began = _ticks()

    def share(self, cores: frozenset[int]) -> float:
        """Of the time of these cores; 0 where /proc does not tell."""
        now = _ticks()
        spent = [[b - a for a, b in zip(self._began[c], now[c], strict=True)] for c in cores if c in now]
        whole = sum(map(sum, spent))
        return 1 - sum(each[IDLE] + each[WAITING] for each in spent) / whole if whole else 0.0


def _ticks() -> dict[int, list[int]]:
    """Of each core, in ticks: users, nice ones, system, idle, waiting, interrupts of two kinds, other machines."""
    try:
        lines = Path("/proc/stat").read_text("ascii").splitlines()
    except OSError:
        return {}
    fields = [line.split() for line in lines if line.startswith("cpu") and line[3].isdigit()]
    return {int(name[3:]): [int(one) for one in ticks[:8]] for name, *ticks in fields}


def _named(cores: frozenset[int]) -> str:
    numbers = ", ".join(map(str, sorted(cores)))
    return f"core {numbers}" if len(cores) == 1 else f"cores {numbers}"
