"""Sequences that write themselves: whoever comes, goes or leaves, each of the others is as it is alone."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.config import SchedulerSettings
from service.errors import Draining
from service.metrics import Metrics
from service.scheduler import Scheduler
from service.scheduler.rollouts import MIN_PADDED_TOKENS
from service.step import Ask, Rolled, Rollout, Step, Told
from tests.fakes.rolling_sum import (
    NEVER,
    Door,
    Heard,
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


lists = st.lists(st.integers(1, 50), min_size=1, max_size=20)


rollouts = st.builds(
    lambda context, first, total, stop, limits: rollout(
        context, first=first, total=total, stop=stop, min_steps=limits[0], max_steps=limits[1]
    ),
    lists,
    st.integers(0, 10),
    st.integers(0, 99),
    st.integers(0, 10),
    st.tuples(st.integers(-2, 15), st.integers(1, 15)),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(rollouts, st.integers(0, 3), st.booleans()), min_size=1, max_size=14),
    st.integers(1, 8),
    st.booleans(),
)
def test_whoever_joins_or_leaves_when_each_rollout_is_as_it_is_alone(
    work: list[tuple[Rollout, int, bool]], max_batch: int, in_slots: bool
) -> None:
    engine = RollingSum(in_slots=in_slots)
    scheduler = Scheduler(engine, SchedulerSettings(max_batch=max_batch), Metrics(), "test")
    sinks = [Heard() for _ in work]
    jobs = [Rolling(replace(each, sink=sink)) for (each, _, _), sink in zip(work, sinks, strict=True)]
    engine.pause()
    try:
        for job, (_, batches_before, _) in zip(jobs, work, strict=True):
            scheduler.submit(job)
            for _ in range(batches_before):
                engine.let_run()
        for job, (_, _, leaves) in zip(jobs, work, strict=True):
            if leaves:
                scheduler.cancel(job)
        engine.resume()
        for job, (_, _, leaves) in zip(jobs, work, strict=True):
            if not leaves:
                job.wait()
        scheduler.close()  # all mail is delivered
        for job, sink, (each, _, leaves) in zip(jobs, sinks, work, strict=True):
            if leaves:
                assert sink.ids == told(each)[: len(sink.ids)]
            else:
                assert job.rolled() == alone(each)
                assert (sink.ids, job.ends) == (told(each), 1)
        assert all(rows <= max_batch for _, rows in engine.batches)
    finally:
        engine.resume()
        scheduler.close()


def test_the_fake_can_stop_early_be_kept_from_it_and_run_to_its_limit() -> None:
    """Or the tests above show less than they seem to."""
    free = rollout([4], first=1, stop=6, max_steps=9)
    assert alone(free)[0] == [0, 0, 0, 0, 0, 0, 0, 0, 0]
    assert alone(rollout([4], first=1, stop=0))[0] == [0]
    assert alone(rollout([4], first=1, stop=0, min_steps=2, max_steps=9))[0][:2] == [1, 7]


def test_a_sink_is_told_of_everything_but_the_stop_with_the_state_after_it(rolling: MakeBench) -> None:
    b = rolling()
    work = [heard(rollout([n, 3], first=n, stop=5, max_steps=20)) for n in range(1, 8)]
    jobs = [Rolling(each) for each, _ in work]
    b.submit(*jobs)
    b.finish(jobs)
    for job, (each, sink) in zip(jobs, work, strict=True):
        ids, log_probs, _ = job.rolled()
        assert sink.ids == told(each)
        assert [item.log_prob for item in sink.items] == log_probs[: len(sink.items)]
        sums = np.cumsum([each.first, *ids])[: len(sink.items)].tolist()
        assert [int(item.state.taken()["sum"]) for item in sink.items] == sums
    assert any(job.rolled()[0][-1] == 5 for job in jobs), "one of them stops"


class Answering(Rolling):
    """Puts its answer into a mailbox that is its sink, too."""

    def __init__(self, scheduler: Scheduler, work: Rollout) -> None:
        self.mailbox: Any = scheduler.mailbox(Door())  # type: ignore[arg-type]
        super().__init__(replace(work, sink=self.mailbox))

    def advance(self, told: Told) -> Ask:
        self.mailbox.put("answer")
        return super().advance(told)


def test_the_answer_comes_after_all_that_was_told_on_the_way(rolling: MakeBench) -> None:
    b = rolling()
    work = many(5, max_steps=7)
    jobs = [Answering(b.scheduler, each) for each in work]
    b.submit(*jobs)
    b.finish(jobs)
    for job, each in zip(jobs, work, strict=True):
        *items, answer = job.mailbox._arrived
        assert answer == "answer"
        assert [item.id for item in items] == told(each)


def test_one_step_of_a_whole_batch_crosses_over_in_one_call_for_each_loop(rolling: MakeBench) -> None:
    b = rolling()
    doors = [Door(), Door()]
    sinks = [Heard(doors[n % 2]) for n in range(10)]
    jobs = [Rolling(replace(work, sink=sink)) for work, sink in zip(many(10), sinks, strict=True)]
    b.submit(*jobs)
    b.finish(jobs)
    assert sum(len(sink.items) for sink in sinks) == 10 * 12
    assert all(door.calls <= len(b.engine.batches) for door in doors)


def test_nobody_is_told_after_it_left_but_of_the_step_that_was_under_way(rolling: MakeBench) -> None:
    b = rolling()
    (leaving, gone), (staying, here) = (heard(work) for work in many(2, max_steps=30))
    leaver, stayer = Rolling(leaving), Rolling(staying)
    b.engine.pause()
    b.scheduler.submit(leaver)
    b.scheduler.submit(stayer)
    for _ in range(6):
        b.engine.wait_for_batch()
        b.engine.let_run()
    b.engine.wait_for_batch()
    b.scheduler.cancel(leaver)
    before, batches = len(gone.items), len(b.engine.batches)
    b.engine.resume()
    b.finish([stayer])
    assert stayer.rolled() == alone(staying)
    assert here.ids == told(staying)
    assert len(gone.items) <= before + 1
    assert gone.ids == told(leaving)[: len(gone.items)]
    assert (leaver.ends, leaver.told) == (0, [])
    assert all(rows == 1 for _, rows in b.engine.batches[batches + 1 :]), "its row is run no more"


def test_who_leaves_before_it_was_seated_is_never_run(rolling: MakeBench) -> None:
    b = rolling()
    b.engine.pause()
    staying, leaving = many(2)
    b.scheduler.submit(stayer := Rolling(staying))
    b.engine.wait_for_batch()
    b.scheduler.submit(leaver := Rolling(leaving))
    b.scheduler.cancel(leaver)
    b.engine.resume()
    assert stayer.rolled() == alone(staying)
    assert {rows for _, rows in b.engine.batches} == {1}


class Leaving(Rolling):
    """Leaves in the very moment in which it asks for a rollout."""

    def __init__(self, scheduler: Scheduler, *asks: Ask) -> None:
        super().__init__(*asks)
        self._scheduler = scheduler

    def advance(self, told: Told) -> Ask:
        self._scheduler.cancel(self)
        return super().advance(told)


def test_who_leaves_while_it_waits_for_a_place_is_never_seated(rolling: MakeBench) -> None:
    b = rolling()
    [staying] = many(1, max_steps=5)
    leaver, stayer = Leaving(b.scheduler, step(1, 1), *many(1)), Rolling(step(1, 1), staying)
    b.submit(leaver, stayer)
    assert stayer.rolled(1) == alone(staying)
    assert b.scheduler.drain(5)
    assert sum(rows for _, rows in b.engine.batches) == 2 + 5


def step(total: int, number: int) -> list[Step]:
    return [
        Step(
            "write",
            {"number": np.array(number), "k": np.array(1)},
            {"sum": np.array(total)},
            {"list": np.array([1])},
        )
    ]


def test_a_job_may_ask_for_steps_and_rollouts_by_turns(rolling: MakeBench) -> None:
    b = rolling()
    first, second = many(2)
    jobs = [Rolling(step(1, 2), first, step(5, 6), step(7, 7), second, second, step(1, 1)) for _ in range(5)]
    b.submit(*jobs)
    for job in jobs:
        assert (job.rolled(1), job.rolled(4), job.rolled(5)) == (alone(first), alone(second), alone(second))
        assert [job.total(n) for n in (0, 2, 3, 6)] == [3, 11, 14, 2]
        assert job.ends == 1


def test_more_than_a_batch_holds_are_all_brought_to_their_ends_in_fair_turns(rolling: MakeBench) -> None:
    b = rolling(max_batch=4)
    sinks = [Heard(door) for door in [Door()] * 18]
    work = [replace(each, sink=sink) for each, sink in zip(many(18, max_steps=15), sinks, strict=True)]
    jobs = [Rolling(each) for each in work]
    apart: list[int] = []
    watch = Heard(sinks[0].loop, lambda num: apart.append(min(len(s.items) for s in sinks)))  # type: ignore[arg-type]
    jobs[0] = Rolling(replace(work[0], sink=watch))
    b.engine.pause()
    blocker = Rolling(step(1, 1))
    b.scheduler.submit(blocker)
    b.engine.wait_for_batch()
    sinks.remove(sinks[0])
    for job in jobs:
        b.scheduler.submit(job)
    b.engine.resume()
    for job, each in zip(jobs, work, strict=True):
        assert job.rolled() == alone(each)
    assert max(rows for _, rows in b.engine.batches) == 4
    assert all(at + 1 - least <= 1 for at, least in enumerate(apart)), "no bench is a step ahead of another"


def test_places_on_a_full_bench_go_to_those_who_come_later(rolling: MakeBench) -> None:
    b = rolling(max_batch=4)
    short, long = many(4, max_steps=2), many(4, max_steps=40)
    jobs = [Rolling(each) for pair in zip(short, long, strict=True) for each in pair]
    b.submit(*jobs)
    for job in jobs:
        assert job.wait().error is None
    late = [Rolling(each) for each in many(3)]
    b.submit(*late)
    for job in late:
        job.wait()
    assert len(b.scheduler._rollouts._benches) <= 1, "those that are empty are cleared away"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([1, 2, 7, 60, 500, 900, 3000]), min_size=2, max_size=24), st.data())
def test_short_and_long_contexts_are_not_padded_together_beyond_the_bound(
    lengths: list[int], data: st.DataObject
) -> None:
    max_tokens = data.draw(st.sampled_from([64, 4096, 16384]))
    engine = RollingSum()
    scheduler = Scheduler(engine, SchedulerSettings(max_context_tokens=max_tokens), Metrics(), "test")
    work = [rollout([n + 1] * length, stop=NEVER, max_steps=3) for n, length in enumerate(lengths)]
    jobs = [Rolling(each) for each in work]
    engine.pause()
    for job in jobs:
        scheduler.submit(job)
    engine.resume()
    try:
        assert [job.rolled() for job in jobs] == [alone(each) for each in work]
        for rows, padded, own in engine.padded:
            bound = min(max_tokens, max(MIN_PADDED_TOKENS, 2 * own))
            slack = 2 * bound  # who left may have been up to twice as long
            assert rows == 1 or rows * (padded - 3) <= slack
    finally:
        engine.resume()
        scheduler.close()


def test_a_long_context_does_not_share_its_batch_with_many_short_ones(rolling: MakeBench) -> None:
    b = rolling()
    long = rollout([1] * 3000, stop=NEVER, max_steps=6)
    short = [rollout([n + 1], stop=NEVER, max_steps=6) for n in range(10)]
    jobs = [Rolling(each) for each in (*short[:5], long, *short[5:])]
    b.submit(*jobs)
    assert [job.rolled() for job in jobs] == [alone(each) for each in (*short[:5], long, *short[5:])]
    assert all(rows <= 2 for rows, padded, _ in b.engine.padded if padded >= 3000), "one is not worth a batch"
    assert any(rows >= 9 for rows, _, _ in b.engine.padded)


def test_a_rollout_without_steps_left_ends(rolling: MakeBench) -> None:
    b = rolling()
    job = Rolling(rollout([1], stop=NEVER, max_steps=0))
    b.scheduler.submit(job)
    assert len(job.rolled()[0]) <= 1


def test_a_drain_lets_rollouts_end(rolling: MakeBench) -> None:
    b = rolling()
    work = many(3, max_steps=20)
    jobs = [Rolling(each) for each in work]
    b.engine.pause()
    for job in jobs:
        b.scheduler.submit(job)
    b.engine.wait_for_batch()
    threading.Timer(0.02, b.engine.resume).start()
    assert b.scheduler.drain(10)
    assert [job.rolled() for job in jobs] == [alone(each) for each in work]


@pytest.mark.parametrize("end", ["drain", "close"])
def test_a_drain_whose_time_is_over_and_a_close_fail_the_rollouts_that_are_left(
    rolling: MakeBench, end: str
) -> None:
    b = rolling(max_batch=2)
    work = [heard(each) for each in many(5, max_steps=10**6)]
    jobs = [Rolling(each) for each, _ in work]
    b.engine.pause()
    for job in jobs:
        b.scheduler.submit(job)
    b.engine.wait_for_batch()
    threading.Timer(0.1, b.engine.resume).start()
    if end == "drain":
        assert not b.scheduler.drain(0.02)
    else:
        b.scheduler.close()
    b.finish(jobs)
    for job, (each, sink) in zip(jobs, work, strict=True):
        assert isinstance(job.wait().error, Draining)
        assert (job.ends, job.told) == (1, [])
        short = replace(each, max_steps=len(sink.items), sink=None)
        assert not sink.items or sink.ids == told(short)
    assert not b.scheduler._thread.is_alive()


def test_what_was_told_keeps_no_batch_alive_once_it_was_taken(rolling: MakeBench) -> None:
    b = rolling()
    work = [heard(each) for each in many(8)]
    jobs = [Rolling(each) for each, _ in work]
    b.submit(*jobs)
    for job, (_, sink) in zip(jobs, work, strict=True):
        rolled = job.wait().told[0]
        assert isinstance(rolled, Rolled)
        for row in (rolled.state, *(item.state for item in sink.items)):
            assert all(array.base is None and array.nbytes == 8 for array in row.taken().values())


def test_the_scheduler_counts_the_rows_of_rollouts(rolling: MakeBench) -> None:
    b = rolling()
    jobs: Sequence[Rolling] = [Rolling(each) for each in many(6, max_steps=10)]
    b.submit(*jobs)
    for job in jobs:
        job.wait()
    assert b.scheduler.drain(5)
    value = b.metrics.registry.get_sample_value
    model = {"model": "rolling-sum/1"}
    assert value("seqserve_steps_total", {**model, "graph": "write"}) == 60
    assert value("seqserve_queue_wait_seconds_count", model | {"priority": "normal"}) == 6
    assert value("seqserve_jobs_total", {**model, "outcome": "done"}) == 6


def test_a_batch_is_one_look_at_the_time_between_tokens_and_each_text_has_one_first_token(
    rolling: MakeBench,
) -> None:
    b = rolling()
    jobs: Sequence[Rolling] = [Rolling(each) for each in many(6, max_steps=10)]
    b.submit(*jobs)
    for job in jobs:
        job.wait()
    assert b.scheduler.drain(5)
    value, model = b.metrics.registry.get_sample_value, {"model": "rolling-sum/1"}
    num_batches = value("seqserve_batch_size_count", {**model, "graph": "write"})
    assert value("seqserve_token_seconds_count", model) == (num_batches or 0) - 1
    assert value("seqserve_first_token_seconds_count", model) == 6


def test_the_time_in_which_nobody_wrote_is_not_between_two_tokens(rolling: MakeBench) -> None:
    b = rolling()
    for _ in range(3):
        job = Rolling(many(1, max_steps=1)[0])
        b.submit(job)
        job.wait()
    value, model = b.metrics.registry.get_sample_value, {"model": "rolling-sum/1"}
    assert value("seqserve_token_seconds_count", model) == 0
    assert value("seqserve_first_token_seconds_count", model) == 3


def test_slots_are_counted_while_they_are_taken(rolling: MakeBench) -> None:
    b = rolling(max_batch=4)
    b.engine.pause()
    jobs: Sequence[Rolling] = [Rolling(each) for each in many(3, max_steps=5)]
    for job in jobs:
        b.scheduler.submit(job)
    b.engine.let_run()
    value, model = b.metrics.registry.get_sample_value, {"model": "rolling-sum/1"}
    until = time.monotonic() + 10
    while not value("seqserve_slots_taken", model) and time.monotonic() < until:
        time.sleep(0.001)  # the scheduler's thread tells nobody
    assert 0 < (value("seqserve_slots_taken", model) or 0) <= 3
    assert value("seqserve_slots_max", model) == 4
    b.engine.resume()
    for job in jobs:
        job.wait()
    assert b.scheduler.drain(5)
    assert value("seqserve_slots_taken", model) == 0
