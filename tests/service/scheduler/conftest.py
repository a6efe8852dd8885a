from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from service.config import SchedulerSettings
from service.metrics import Metrics
from service.scheduler import Scheduler
from tests.fakes.running_sum import RunningSum


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
