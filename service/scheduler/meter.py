"""What the scheduler counts and logs, so that its loop need not."""

import time
from collections.abc import Callable, Sequence

import structlog

from service.metrics import Metrics
from service.priority import Priority
from service.scheduler.run import Run

log = structlog.get_logger(__name__)
WRITING = "step"
"""The graph of every bundle that writes."""


class Meter:
    """The metrics and the log of one scheduler."""

    def __init__(self, metrics: Metrics, model: str, graphs: Sequence[str]) -> None:
        self._model = model
        self._metrics = metrics
        self._batch_size = {graph: metrics.batch_size.labels(model, graph) for graph in graphs}
        self._run_seconds = {graph: metrics.run_seconds.labels(model, graph) for graph in graphs}
        self._steps = {graph: metrics.steps.labels(model, graph) for graph in graphs}
        self._wait = {
            priority: metrics.queue_wait_seconds.labels(model, priority.name.lower()) for priority in Priority
        }
        self._first_token = metrics.first_token_seconds.labels(model)
        self._between_tokens = metrics.token_seconds.labels(model)
        self._outcomes = {
            outcome: metrics.jobs.labels(model, outcome) for outcome in ("done", "failed", "cancelled")
        }

    def watch(
        self, num_jobs: Callable[[], int], num_waiting: Callable[[], int], num_seated: Callable[[], int]
    ) -> None:
        """Let the gauges read these numbers whenever they are asked."""
        self._metrics.jobs_active.labels(self._model).set_function(num_jobs)
        self._metrics.queue_depth.labels(self._model).set_function(num_waiting)
        self._metrics.slots_taken.labels(self._model).set_function(num_seated)

    def bounded(self, max_jobs: int, max_rows: int) -> None:
        """Tell how many jobs, and rows of a batch, there may be."""
        self._metrics.jobs_max.labels(self._model).set(max_jobs)
        self._metrics.slots_max.labels(self._model).set(max_rows)

    def started(self, runs: Sequence[Run], stage: str) -> None:
        """A batch of these runs begins, in which they read or write."""
        for run in runs:
            if run.stages:
                run.stages.enter(stage)
            if not run.started:
                run.started = True
                self._wait[run.priority].observe(time.monotonic() - run.arrival.at)

    def ran(self, graph: str, num_rows: int, began: float) -> None:
        """A batch has been run since `began`."""
        self._batch_size[graph].observe(num_rows)
        self._steps[graph].inc(num_rows)
        self._run_seconds[graph].observe(time.monotonic() - began)

    def wrote(self, firsts: Sequence[Run], since_last_s: float | None) -> None:
        """Texts have got a token each: for `firsts` the first one; the others got theirs `since_last_s` ago."""
        if since_last_s is not None:
            self._between_tokens.observe(since_last_s)
        for run in firsts:
            self._first_token.observe(time.monotonic() - run.arrival.at)

    def ended(self, run: Run, outcome: str) -> None:
        """A job is over: done, failed or cancelled."""
        self._outcomes[outcome].inc()
        if run.stages:
            run.stages.end()

    def batch_failed(self, graph: str, num_rows: int, error: BaseException) -> None:
        """The rows could not be run together."""
        log.warning("batch_failed", model=self._model, graph=graph, rows=num_rows, exc_info=error)

    def bug(self, event: str, error: BaseException) -> None:
        """Something raised that must not."""
        log.error(event, model=self._model, exc_info=error)


def stage_of(graph: str) -> str:
    """Whether its batches read or write."""
    return "write" if graph == WRITING else "read"
