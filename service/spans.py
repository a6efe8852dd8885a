"""What the parts of a call took, for whoever traces it. Where nobody does, that costs a look at a variable.

`service.api.tracing` puts a `Trace` there for each call that is traced; tasks that a call starts inherit it. The parts
tell it of stretches of time, by name; they know nothing of where these go.
"""

import time
from contextvars import ContextVar
from typing import Protocol


class Trace(Protocol):
    """A call that is traced."""

    def span(self, name: str, began_ns: int, ended_ns: int, facts: dict[str, str]) -> None:
        """Take note of a stretch of the call's time, since the epoch; from any thread."""
        ...


CURRENT: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""Of the call that the present task answers."""


class Stages:
    """The time of one job, stage by stage: each begins where the one before it ends."""

    __slots__ = ("_began_ns", "_facts", "_stage", "_trace")

    def __init__(self, trace: Trace, facts: dict[str, str]) -> None:
        self._trace = trace
        self._facts = facts
        self._stage = ""
        self._began_ns = 0

    @classmethod
    def begin(cls, stage: str, **facts: str) -> "Stages | None":
        """For the present call; None where it is not traced."""
        if (trace := CURRENT.get()) is None:
            return None
        stages = cls(trace, facts)
        stages.enter(stage)
        return stages

    def enter(self, stage: str) -> None:
        """End the stage before, if this is another."""
        if stage != self._stage:
            self.end()
            self._stage, self._began_ns = stage, time.time_ns()

    def end(self) -> None:
        if self._stage:
            self._trace.span(self._stage, self._began_ns, time.time_ns(), self._facts)
            self._stage = ""


def note(name: str, seconds: float, **facts: str) -> None:
    """Tell of something that ends now and took so long."""
    if (trace := CURRENT.get()) is not None:
        now = time.time_ns()
        trace.span(name, now - round(seconds * 1e9), now, facts)
