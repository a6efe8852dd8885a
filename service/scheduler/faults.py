"""Whether the graphs of a model run: what becomes of their batches, and a try where that leaves it open."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from service.engine.base import Engine
from service.engine.blank import blank_step
from service.errors import SeqserveError, StepFailed
from service.step import Ask, Result

SUSPECT_AFTER = 3
"""Batches of a graph, one after the other, of which no row could be run."""


class Faults:
    """Written by the scheduler's thread, read by any.

    A graph whose batches fail is only suspected, as it may be what was sent: it is tried with a blank step, which ran
    when the model was loaded. Where that fails, too, the model does not work, until something can be run again.
    """

    def __init__(self, engine: Engine, max_run_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._max_run_s = max_run_s
        self._clock = clock
        self._lock = threading.Lock()
        self._running: tuple[str, float] | None = None
        self._in_row: Counter[str] = Counter()
        self._failed_trials: dict[str, str] = {}
        self._trials: set[str] = set()

    def begin(self, graph: str) -> None:
        """A run begins."""
        self._running = graph, self._clock()

    def is_past_its_time(self) -> bool:
        """Whether the run that began last has taken more than its time."""
        running = self._running
        return running is not None and self._clock() - running[1] >= self._max_run_s

    def end(self, graph: str, *, ran: bool) -> None:
        """The batch is over; whether any of its rows could be run."""
        self._running = None
        if not ran:
            self._in_row[graph] += 1
        elif self._in_row[graph]:
            self._in_row[graph] = 0
            self._failed_trials.pop(graph, None)

    @property
    def why(self) -> str:
        """Why the model does not work; empty while it does."""
        if self.is_past_its_time() and (running := self._running):
            seconds = self._clock() - running[1]
            return f"graph {running[0]} has been running for {seconds:.0f} s, and does not end"
        return "; ".join(list(self._failed_trials.values()))

    def interrupt(self) -> None:
        """End a run that has taken more than its time."""
        if self.is_past_its_time():
            self._engine.interrupt()

    def trials(self) -> "list[Trial]":
        """Of each graph that has to be tried, a job that does it; one at a time."""
        with self._lock:
            due = [
                g for g, num in list(self._in_row.items()) if num >= SUSPECT_AFTER and g not in self._trials
            ]
            self._trials.update(due)
        return [Trial(graph, self._engine, self._tried) for graph in due]

    def drop(self, trial: "Trial") -> None:
        """It could not be begun."""
        self._trials.discard(trial.graph)

    def _tried(self, graph: str, error: SeqserveError | None) -> None:
        self._trials.discard(graph)
        if error is not None:
            self._failed_trials[graph] = str(error)


class Trial:
    """A job that runs one blank step of a graph; nobody waits for what comes out."""

    def __init__(
        self, graph: str, engine: Engine, on_end: Callable[[str, SeqserveError | None], None]
    ) -> None:
        self.graph = graph
        self._engine = engine
        self._on_end = on_end

    def begin(self) -> Ask:
        return [blank_step(self._engine.manifest.graphs[self.graph], self.graph)]

    def advance(self, told: Sequence[Result]) -> Ask:
        self._on_end(self.graph, None)
        return []

    def fail(self, error: SeqserveError) -> None:
        self._on_end(self.graph, error if isinstance(error, StepFailed) else None)
