from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from service.config import SchedulerSettings
from service.metrics import Metrics
from service.scheduler import Scheduler
from service.step import Job
from tests.fakes.rolling_sum import Rolling, RollingSum
from tests.fakes.running_sum import RunningSum


@pytest.fixture(autouse=True)
def _quiet_log() -> Iterator[None]:
    """To write tracebacks takes longer than all else here."""
    with capture_logs():
        yield


@dataclass
class Bench:
    """A scheduler over a running sum."""

    engine: RunningSum
    scheduler: Scheduler
    metrics: Metrics


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**settings: int) -> Bench:
        engine, metrics = RunningSum(), Metrics()
        scheduler = Scheduler(engine, SchedulerSettings(**settings), metrics, "running-sum/1")
        made.append(Bench(engine, scheduler, metrics))
        return made[-1]

    yield make
    for one in made:
        one.engine.resume()
        one.scheduler.close()


@dataclass
class RollingBench:
    """A scheduler over a running sum that writes itself."""

    engine: RollingSum
    scheduler: Scheduler
    metrics: Metrics

    def submit(self, *jobs: Job) -> None:
        """Together: no batch runs before the last of them has come."""
        self.engine.pause()
        for job in jobs:
            self.scheduler.submit(job)
        self.engine.resume()

    def finish(self, jobs: Iterable[Rolling]) -> None:
        """Return when all of them have ended and all mail is delivered; nothing more is taken after that."""
        for job in jobs:
            job.wait()
        self.scheduler.close()


@pytest.fixture(params=[True, False], ids=["in slots", "by rows"])
def rolling(request: pytest.FixtureRequest) -> Iterator[Callable[..., RollingBench]]:
    made: list[RollingBench] = []

    def make(**settings: int) -> RollingBench:
        engine, metrics = RollingSum(in_slots=request.param), Metrics()
        scheduler = Scheduler(engine, SchedulerSettings(**settings), metrics, "rolling-sum/1")
        made.append(RollingBench(engine, scheduler, metrics))
        return made[-1]

    yield make
    for one in made:
        one.engine.resume()
        one.scheduler.close()
