"""Priority: who is more urgent goes first, nobody starves, and what anybody is told stays the same."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.config import SchedulerSettings
from service.metrics import Metrics
from service.priority import CURRENT, Priority
from service.scheduler import Scheduler
from service.scheduler.pace import Arrival
from service.scheduler.queues import Queue
from service.scheduler.run import Run
from service.scheduler.shares import COST, Shares
from service.scheduler.turns import READING_SHARE, Turns
from service.step import Job, Step
from tests.fakes import rolling_sum
from tests.fakes.jobs import Adding, alone
from tests.fakes.rolling_sum import NEVER, Heard, Rolling, RollingSum, rollout
from tests.fakes.running_sum import READ, RunningSum
from tests.service.scheduler.conftest import Bench, RollingBench

HIGH, NORMAL, LOW = Priority
ROUND = sum(max(COST.values()) // cost for cost in COST.values())
"""Turns in which everybody has had his share."""
priorities = st.sampled_from(Priority)


def submit(scheduler: Scheduler, job: Job, priority: Priority) -> None:
    token = CURRENT.set(priority)
    try:
        scheduler.submit(job)
    finally:
        CURRENT.reset(token)


def turns(shares: Shares, there: Sequence[Priority], num: int) -> list[Priority]:
    return [shares.next(there) for _ in range(num)]


def test_while_all_wait_each_has_its_share_of_the_turns() -> None:
    given_to = turns(Shares(), list(Priority), 10 * ROUND)
    assert [given_to.count(priority) for priority in Priority] == [160, 40, 10]


def test_the_more_urgent_goes_first_and_the_less_urgent_soon_enough() -> None:
    assert turns(Shares(), [NORMAL, LOW], 5) == [NORMAL] * 4 + [LOW]
    assert turns(Shares(), [HIGH, LOW], 17) == [HIGH] * 16 + [LOW]


def test_who_comes_among_less_urgent_ones_is_next() -> None:
    shares = Shares()
    turns(shares, [NORMAL, LOW], 7)
    assert shares.next([HIGH, NORMAL, LOW]) is HIGH


def test_who_was_away_has_saved_nothing_up() -> None:
    shares = Shares()
    turns(shares, [LOW], 1)
    turns(shares, [HIGH], 1000)
    assert turns(shares, [HIGH, LOW], 17) == [HIGH] * 16 + [LOW]


@given(st.lists(st.sets(priorities, min_size=1), min_size=1, max_size=200))
def test_whoever_waits_has_a_turn_within_a_round_whoever_comes_and_goes(there: list[set[Priority]]) -> None:
    shares, waited = Shares(), dict.fromkeys(Priority, 0)
    for present in there:
        first = shares.next(present)
        assert first in present
        for priority in Priority:
            waited[priority] = waited[priority] + 1 if priority in present and priority is not first else 0
            assert waited[priority] < ROUND


# The queues


def queue_of(*waiting: tuple[Priority, int], **limits: int) -> Queue:
    queue = Queue(READ, SchedulerSettings(**limits))
    for priority, length in waiting:
        run = Run(Adding([1], []), Arrival(0.0, 0.0), priority=priority)
        queue.put(run, 0, Step("read", {"numbers": np.ones(length, np.int64)}))
    return queue


def taken(queue: Queue) -> list[tuple[Priority, int]]:
    return [(waiting.priority, waiting.length) for waiting in queue.take()]


def test_where_all_go_nobody_is_asked() -> None:
    queue = queue_of((LOW, 4), (HIGH, 8), (NORMAL, 4))
    assert taken(queue) == [(LOW, 4), (HIGH, 8), (NORMAL, 4)]


def test_a_batch_begins_with_the_most_urgent_and_is_filled_up_in_order() -> None:
    queue = queue_of(*[(LOW, 4)] * 3, *[(NORMAL, 4)] * 2, *[(HIGH, 4)] * 2, max_batch=5)
    assert [priority for priority, _ in taken(queue)] == [HIGH, HIGH, NORMAL, NORMAL, LOW]
    assert taken(queue) == [(LOW, 4)] * 2


def test_of_one_priority_the_most_similar_lengths_share_a_batch() -> None:
    queue = queue_of((HIGH, 4), (HIGH, 40), (LOW, 4), (HIGH, 8), (LOW, 8), max_encode_tokens=24)
    assert taken(queue) == [(HIGH, 4), (HIGH, 8), (LOW, 4)]
    assert taken(queue) == [(HIGH, 40)]


def test_of_one_priority_the_oldest_is_always_in_the_batch() -> None:
    queue = queue_of((HIGH, 40), *[(HIGH, 4)] * 30, max_batch=3)
    assert (HIGH, 40) in taken(queue)


def test_a_low_one_is_taken_however_many_high_ones_come() -> None:
    queue = queue_of((LOW, 4), *[(HIGH, 4)] * 2, max_batch=1)
    waited = 0
    while taken(queue) != [(LOW, 4)]:
        waited += 1
        queue.put(
            Run(Adding([1], []), Arrival(0.0, 0.0), priority=HIGH), 0, Step("read", {"numbers": np.ones(4)})
        )
    assert waited == 16


# The scheduler


def test_jobs_are_begun_by_their_priority(bench: Callable[..., Bench]) -> None:
    b, order = bench(max_batch=1), list[str]()
    b.engine.pause()
    jobs = []
    for name, priority in [
        ("first", NORMAL),
        ("low", LOW),
        ("normal", NORMAL),
        ("high", HIGH),
        ("later", HIGH),
    ]:
        jobs.append(Adding([1], [], on_advance=lambda name=name: order.append(name)))  # type: ignore[misc]
        submit(b.scheduler, jobs[-1], priority)
        if name == "first":
            b.engine.wait_for_batch()
    b.engine.resume()
    for job in jobs:
        job.wait()
    assert order == ["first", "high", "later", "normal", "low"]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(priorities, st.integers(1, 9), st.integers(0, 6)), min_size=1, max_size=12),
    st.integers(1, 6),
)
def test_whatever_the_priorities_each_job_equals_itself_alone(
    work: list[tuple[Priority, int, int]], max_batch: int
) -> None:
    engine = RunningSum()
    scheduler = Scheduler(engine, SchedulerSettings(max_batch=max_batch), Metrics(), "test")
    engine.pause()
    try:
        jobs = [Adding([first] * first, [first] * num) for _, first, num in work]
        for job, (priority, _, _) in zip(jobs, work, strict=True):
            submit(scheduler, job, priority)
        engine.resume()
        found = [job.wait().sums for job in jobs]
        assert found == [alone([first] * first, [first] * num) for _, first, num in work]
    finally:
        scheduler.close()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(priorities, st.integers(0, 10), st.integers(0, 3)), min_size=1, max_size=12),
    st.integers(1, 4),
    st.booleans(),
)
def test_whatever_the_priorities_each_rollout_equals_itself_alone(
    work: list[tuple[Priority, int, int]], max_batch: int, in_slots: bool
) -> None:
    engine = RollingSum(in_slots=in_slots)
    scheduler = Scheduler(engine, SchedulerSettings(max_batch=max_batch), Metrics(), "test")
    rollouts = [rollout([first + 1, 5], first=first, total=3 * first, stop=6) for _, first, _ in work]
    jobs = [Rolling(each) for each in rollouts]
    engine.pause()
    try:
        for job, (priority, _, batches_before) in zip(jobs, work, strict=True):
            submit(scheduler, job, priority)
            for _ in range(batches_before):
                engine.let_run()
        engine.resume()
        assert [job.rolled() for job in jobs] == [rolling_sum.alone(each) for each in rollouts]
        assert all(rows <= max_batch for _, rows in engine.batches)
    finally:
        engine.resume()
        scheduler.close()


def writing(b: RollingBench, priority: Priority, num_steps: int) -> tuple[Rolling, Heard]:
    work, sink = rollout([2, 5], stop=NEVER, max_steps=num_steps), Heard()
    job = Rolling(replace(work, sink=sink))
    submit(b.scheduler, job, priority)
    return job, sink


def test_one_who_is_urgent_writes_sixteen_times_as_fast_as_one_who_is_not(
    rolling: Callable[..., RollingBench],
) -> None:
    b = rolling()
    b.engine.pause()
    (low, slow), (high, fast) = writing(b, LOW, 400), writing(b, HIGH, 160)
    at_the_end: list[int] = []
    fast._on_item = lambda num: at_the_end.append(len(slow.items)) if num == 160 else None
    b.engine.resume()
    b.finish([low, high])
    assert at_the_end[0] in (9, 10, 11)
    assert len(slow.items) == 400, "and nobody starves"


def test_who_writes_shares_a_batch_only_with_those_of_his_priority(
    rolling: Callable[..., RollingBench],
) -> None:
    b = rolling()
    b.engine.pause()
    jobs = [writing(b, priority, 20)[0] for priority in (LOW, HIGH, LOW, HIGH, HIGH)]
    b.engine.resume()
    b.finish(jobs)
    assert {rows for _, rows in b.engine.batches} <= {1, 2, 3}


def test_who_has_ended_outranks_nobody(rolling: Callable[..., RollingBench]) -> None:
    """His bench stays, empty, until somebody is seated."""
    b = rolling()
    b.engine.pause()
    (low, _), (high, _) = writing(b, LOW, 50), writing(b, HIGH, 3)
    b.engine.resume()
    high.wait()
    low.wait()
    assert not b.scheduler._rollouts.outrank(LOW)
    assert b.engine.batches == [("write", 1)] * 53, "and has no turns"


def test_after_texts_that_are_less_urgent_than_who_writes_writing_has_most_of_the_time() -> None:
    turns = Turns()
    owed = []
    for outranked in (False, True):
        turns.ran("read", 100, 1.0, outranked=outranked)
        owed.append(turns._owed_s)
    assert owed[0] == pytest.approx((1 - READING_SHARE) / READING_SHARE)
    assert owed[1] == pytest.approx(READING_SHARE / (1 - READING_SHARE))


@pytest.mark.parametrize(("read", "outranked"), [((LOW, LOW), True), ((LOW, NORMAL), False)])
def test_a_text_is_less_urgent_where_all_of_its_batch_are(
    read: Sequence[Priority],
    outranked: bool,
    rolling: Callable[..., RollingBench],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[bool] = []

    class Told(Turns):
        def ran(self, *args: Any, outranked: bool = False) -> None:
            told.append(outranked)

    b = rolling()
    monkeypatch.setattr(b.scheduler, "_turns", Told())
    b.engine.pause()
    jobs = [writing(b, NORMAL, 5)[0]]
    b.engine.wait_for_batch()
    for priority in read:
        jobs.append(Rolling([Step("read", {"numbers": np.ones(3, np.int64)})]))
        submit(b.scheduler, jobs[-1], priority)
    b.engine.resume()
    b.finish(jobs)
    assert told == [outranked]


def test_the_time_in_the_queue_is_told_by_priority(bench: Callable[..., Bench]) -> None:
    b = bench()
    jobs = [Adding([1], []) for _ in range(3)]
    for job, priority in zip(jobs, (LOW, HIGH, HIGH), strict=True):
        submit(b.scheduler, job, priority)
        job.wait()
    b.scheduler.close()

    def num(priority: str) -> float | None:
        labels = {"model": "running-sum/1", "priority": priority}
        return b.metrics.registry.get_sample_value("seqserve_queue_wait_seconds_count", labels)

    assert [num(name) for name in ("high", "normal", "low")] == [2, 0, 1]
