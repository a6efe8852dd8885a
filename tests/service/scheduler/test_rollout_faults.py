"""What breaks while sequences write themselves: who is to blame fails, once, and the others do not notice."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from service.config import SchedulerSettings
from service.errors import InvalidInput, StepFailed
from service.metrics import Metrics
from service.scheduler import Scheduler
from service.scheduler.rollouts import Bench
from service.step import Ask, Rollout, Told
from tests.fakes.rolling_sum import (
    NEVER,
    WIRING,
    Door,
    Rolling,
    RollingSum,
    alone,
    heard,
    many,
    rollout,
    told,
)
from tests.service.scheduler.conftest import RollingBench

MakeBench = Callable[..., RollingBench]


BOMB = 7777
"""The context of those who are to blame."""


@pytest.mark.parametrize("at", [0, 3, 6])
def test_who_poisons_its_batch_in_the_middle_is_blamed_alone_and_nobody_is_told_twice(
    rolling: MakeBench, at: int
) -> None:
    b = rolling()
    b.engine.refuses = lambda total, heard: heard == BOMB and total > 20
    work = [heard(each) for each in many(6, max_steps=25)]
    bomb, ticking = heard(rollout([BOMB], first=1, stop=NEVER, max_steps=30))
    jobs = [Rolling(each) for each, _ in work]
    bad = Rolling(bomb)
    b.submit(*jobs[:at], bad, *jobs[at:])
    b.finish([bad, *jobs])
    assert isinstance(bad.wait().error, StepFailed)
    assert (bad.ends, bad.told) == (1, [])
    for job, (each, sink) in zip(jobs, work, strict=True):
        assert job.rolled() == alone(each)
        assert (sink.ids, job.ends) == (told(each), 1)
    good = [int(np.cumsum([1, *alone(bomb)[0]])[n]) for n in range(30)]
    assert ticking.ids == told(bomb)[: sum(total <= 20 for total in good)], "as far as it could be run"


def test_two_who_poison_at_once_and_all_but_one_are_found(rolling: MakeBench) -> None:
    b = rolling()
    b.engine.refuses = lambda total, heard: heard == BOMB and total > 20
    bombs = [Rolling(rollout([BOMB], first=1, stop=NEVER, max_steps=30)) for _ in range(5)]
    [work] = many(1, max_steps=20)
    good = Rolling(work)
    b.submit(*bombs[:2], good, *bombs[2:])
    assert good.rolled() == alone(work)
    assert all(isinstance(bomb.wait().error, StepFailed) and bomb.ends == 1 for bomb in bombs)


def test_an_engine_that_can_only_run_rows_alone_still_brings_all_to_their_ends(rolling: MakeBench) -> None:
    b = rolling()
    b.engine.most_rows = 1
    work = [
        heard(rollout([n, 9], first=n, stop=stop, max_steps=9, min_steps=5))
        for n in range(1, 6)
        for stop in range(11)
    ]
    jobs = [Rolling(each) for each, _ in work]
    b.submit(*jobs)
    b.finish(jobs)
    for job, (each, sink) in zip(jobs, work, strict=True):
        assert job.rolled() == alone(each)
        assert sink.ids == told(each)


def test_a_broken_engine_fails_each_rollout_once_and_serves_again_when_it_works_again(
    rolling: MakeBench,
) -> None:
    b = rolling(max_batch=3)
    work = [heard(each) for each in many(8)]
    jobs = [Rolling(each) for each, _ in work]
    b.engine.broken = True
    b.submit(*jobs)
    for job, (_, sink) in zip(jobs, work, strict=True):
        error = job.wait().error
        assert isinstance(error, StepFailed)
        assert "broken" not in str(error), "an unknown exception's text is for the log only"
        assert (job.ends, sink.items) == (1, [])
    b.engine.broken = False
    again = Rolling(work[0][0])
    b.scheduler.submit(again)
    assert again.rolled() == alone(work[0][0])


def test_an_engine_that_breaks_in_the_middle_leaves_what_was_told_true(rolling: MakeBench) -> None:
    b = rolling()
    work, sink = heard(many(1, max_steps=20)[0])
    b.engine.pause()
    b.scheduler.submit(job := Rolling(work))
    for _ in range(4):
        b.engine.wait_for_batch()
        b.engine.let_run()
    b.engine.wait_for_batch()
    b.engine.broken = True
    b.engine.resume()
    b.finish([job])
    assert isinstance(job.error, StepFailed)
    assert sink.ids == told(work)[:4]


NOTHING: Any = None


CROOKED = [
    replace(rollout([1]), context={}),
    replace(rollout([1]), context={"list": np.zeros((2, 2), np.int64)}),
    replace(rollout([1]), context={"list": np.zeros(0, np.int64)}),
    replace(rollout([1]), context={"list": np.zeros(3, np.float32)}),
    replace(rollout([1]), context={"list": cast("Any", "no array")}),
    replace(rollout([1]), state={"sum": np.zeros(3, np.int64)}),
    replace(rollout([1]), first=2**70),
    replace(rollout([1]), stop=2**70),
    replace(rollout([1]), max_steps=NOTHING),
    replace(rollout([1]), wiring=replace(WIRING, graph="nowhere")),
    replace(rollout([1]), wiring=replace(WIRING, graph="read")),
    replace(rollout([1]), wiring=replace(WIRING, chosen="nothing")),
    replace(rollout([1]), wiring=replace(WIRING, choices="nothing")),
    replace(rollout([1]), wiring=NOTHING),
]


@pytest.mark.parametrize("crooked", CROOKED, ids=lambda each: "")
def test_a_crooked_rollout_is_refused_and_hurts_nobody(crooked: Rollout) -> None:
    engine = RollingSum()
    scheduler = Scheduler(engine, SchedulerSettings(), Metrics(), "test")
    work = [heard(each) for each in many(6, max_steps=20)]
    jobs = [Rolling(each) for each, _ in work]
    bad = [Rolling(crooked), Rolling(crooked)]
    engine.pause()
    try:
        for job in (*jobs[:2], bad[0], jobs[2]):
            scheduler.submit(job)
        for _ in range(5):
            engine.wait_for_batch()
            engine.let_run()
        for job in (jobs[3], bad[1], *jobs[4:]):
            scheduler.submit(job)
        engine.resume()
        for job in (*jobs, *bad):
            job.wait()
        scheduler.close()
        for job, (each, sink) in zip(jobs, work, strict=True):
            assert job.rolled() == alone(each)
            assert sink.ids == told(each)
        assert all(isinstance(job.wait().error, StepFailed) and job.ends == 1 for job in bad)
    finally:
        engine.resume()
        scheduler.close()


def test_a_fault_on_the_bench_fails_those_who_sit_there_once_and_the_next_are_served(
    rolling: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = rolling()
    jobs = [Rolling(each) for each in many(4)]

    def faulty(*args: object) -> None:
        raise ZeroDivisionError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(Bench, "run", faulty)
        b.submit(*jobs)
        for job in jobs:
            assert isinstance(job.wait().error, StepFailed)
            assert (job.ends, job.told) == (1, [])
    [work] = many(1)
    b.scheduler.submit(job := Rolling(work))
    assert job.rolled() == alone(work)


def test_a_sink_whose_loop_is_closed_hurts_nobody(rolling: MakeBench) -> None:
    b = rolling()
    closed = Door()
    (dead, unheard), (living, sink) = heard(many(1)[0], closed), heard(many(2)[1])
    closed.is_shut = True
    jobs = [Rolling(dead), Rolling(living)]
    b.submit(*jobs)
    b.finish(jobs)
    assert [job.rolled() for job in jobs] == [alone(dead), alone(living)]
    assert (unheard.items, sink.ids) == ([], told(living))


def test_what_a_job_raises_at_the_end_of_its_rollout_fails_that_job_alone(rolling: MakeBench) -> None:
    class Wrong(Rolling):
        def advance(self, told: Told) -> Ask:
            raise InvalidInput("wrong")

    b = rolling()
    bad, good = many(2)
    wrong, right = Wrong(bad), Rolling(good)
    b.submit(wrong, right)
    assert isinstance(wrong.wait().error, InvalidInput)
    assert right.rolled() == alone(good)
