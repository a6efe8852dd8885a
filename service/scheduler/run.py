"""A job under way."""

from collections.abc import Sequence

from service.priority import Priority
from service.scheduler.pace import Arrival
from service.spans import Stages
from service.step import Job, Result, Step
from service.until import FOR_EVER


class Run:
    """A job, its current steps, and what has come back of them."""

    __slots__ = (
        "_missing",
        "_results",
        "arrival",
        "ended",
        "job",
        "priority",
        "stages",
        "started",
        "until",
    )

    def __init__(
        self,
        job: Job,
        arrival: Arrival,
        stages: Stages | None = None,
        priority: Priority = Priority.NORMAL,
        until: float = FOR_EVER,
    ) -> None:
        self.job = job
        self.arrival = arrival
        self.priority = priority
        self.until = until
        """When its caller will not wait for it any more."""
        self.stages = stages
        """Where its call is traced."""
        self.ended = False
        """No call of the job may begin any more."""
        self.started = False
        """A step of it has been in a batch."""
        self._results: list[Result | None] = []
        self._missing = 0

    def expect(self, steps: Sequence[Step]) -> None:
        """Wait for the results of these steps."""
        self._results = [None] * len(steps)
        self._missing = len(steps)

    def take_in(self, index: int, result: Result) -> bool:
        """Take in the result of one step; whether it was the last that was missing."""
        self._results[index] = result
        self._missing -= 1
        return self._missing == 0

    @property
    def results(self) -> list[Result]:
        """The results, in the order of the steps, once none is missing."""
        return [result for result in self._results if result is not None]
