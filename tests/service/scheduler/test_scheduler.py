import random
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import until
from service.config import SchedulerSettings
from service.errors import Draining, InvalidInput, Overloaded, SeqserveError, StepFailed, TimedOut
from service.metrics import Metrics
from service.scheduler import Scheduler
from service.step import Result, Step
from tests.fakes.jobs import Adding, alone
from tests.fakes.running_sum import POISON, RunningSum
from tests.service.scheduler.conftest import Bench

MakeBench = Callable[..., Bench]
small = st.integers(-50, 50)
jobs = st.lists(
    st.tuples(st.lists(small, min_size=1, max_size=9), st.lists(small, max_size=6), st.integers(1, 3)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40)
@given(jobs, st.integers(1, 8), st.integers(1, 40), st.integers(0, 5))
def test_any_interleaving_of_jobs_equals_each_alone(
    work: list[tuple[list[int], list[int], int]], max_batch: int, max_tokens: int, pauses: int
) -> None:
    settings = SchedulerSettings(
        max_batch=max_batch, max_encode_tokens=max_tokens, max_context_tokens=max_tokens
    )
    engine = RunningSum()
    scheduler = Scheduler(engine, settings, Metrics(), "test")
    engine.pause()
    adding = [Adding(first, numbers, width=width) for first, numbers, width in work]
    for job in adding:
        scheduler.submit(job)
        if pauses:
            pauses -= 1
            engine.let_run()
    engine.resume()
    try:
        assert [job.wait().sums for job in adding] == [alone(*each) for each in work]
        assert all(job.ends == 1 for job in adding)
        assert all(rows <= max_batch for _, rows in engine.batches)
        assert all(rows == 1 or rows * padded <= max_tokens for rows, padded in engine.shapes)
    finally:
        scheduler.close()


def test_a_job_joins_between_two_steps_of_another(bench: MakeBench) -> None:
    b = bench()
    b.engine.pause()
    early = Adding([1], [1, 1, 1, 1])
    b.scheduler.submit(early)
    for _ in range(3):
        b.engine.wait_for_batch()
        b.engine.let_run()
    b.engine.wait_for_batch()
    late = Adding([5], [5])
    b.scheduler.submit(late)
    b.engine.resume()
    assert early.wait().sums == alone([1], [1] * 4)
    assert late.wait().sums == alone([5], [5])
    assert ("step", 2) in b.engine.batches


def test_sixty_four_generating_jobs_share_their_batches(bench: MakeBench) -> None:
    b = bench()
    seed = random.Random(7)
    adding = [Adding([n + 1], [seed.randint(-9, 9) for _ in range(seed.randint(8, 16))]) for n in range(64)]
    waiting = [(job, list(job._numbers)) for job in adding]
    for job in adding:
        b.scheduler.submit(job)
    for n, (job, numbers) in enumerate(waiting):
        assert job.wait().sums == alone([n + 1], numbers)
    assert b.metrics.mean_batch_size("running-sum/1", "step") > 32


def test_one_who_leaves_in_the_middle_of_a_batch_does_not_hurt_the_others(bench: MakeBench) -> None:
    b = bench()
    b.engine.pause()
    leaving, staying = Adding([1], [1] * 5), Adding([2], [2] * 5)
    b.scheduler.submit(leaving)
    b.scheduler.submit(staying)
    while ("step", 2) not in b.engine.batches:
        b.engine.wait_for_batch()
        b.engine.let_run()
        time.sleep(0.001)
    b.engine.wait_for_batch()
    b.scheduler.cancel(leaving)
    b.scheduler.cancel(leaving)
    seen = len(leaving.sums)
    rows_before = len(b.engine.batches)
    b.engine.resume()
    assert staying.wait().sums == alone([2], [2] * 5)
    assert (len(leaving.sums), leaving.ends, leaving.error) == (seen, 0, None)
    assert all(rows == 1 for _, rows in b.engine.batches[rows_before + 1 :])


def test_the_waiting_steps_of_one_who_leaves_are_not_run(bench: MakeBench) -> None:
    b = bench(max_batch=1)
    b.engine.pause()
    staying, leaving = Adding([1], []), Adding([2], [])
    b.scheduler.submit(staying)
    b.scheduler.submit(leaving)
    b.scheduler.submit(last := Adding([3], []))
    b.engine.wait_for_batch()
    b.scheduler.cancel(leaving)
    b.engine.resume()
    for job in (staying, last):
        job.wait()
    assert b.scheduler.drain(5)
    assert b.engine.batches == [("read", 1)] * 2


def test_the_waiting_steps_of_a_job_that_failed_are_not_run(bench: MakeBench) -> None:
    b = bench(max_batch=1)
    wide = Adding([1], [POISON], width=3)
    b.scheduler.submit(wide)
    assert isinstance(wide.wait().error, StepFailed)
    assert b.scheduler.drain(5)
    assert b.engine.batches == [("read", 1), ("step", 1)]


def test_one_who_leaves_frees_its_place_in_the_queue_at_once(bench: MakeBench) -> None:
    b = bench(max_queue=1)
    b.engine.pause()
    leaving = Adding([1], [1])
    b.scheduler.submit(leaving)
    b.engine.wait_for_batch()
    b.scheduler.cancel(leaving)
    staying = Adding([2], [2])
    b.scheduler.submit(staying)
    b.engine.resume()
    assert staying.wait().sums == alone([2], [2])


def test_a_job_cancelled_before_it_began_is_never_called(bench: MakeBench) -> None:
    b = bench()
    b.engine.pause()
    first = Adding([1], [])
    b.scheduler.submit(first)
    b.engine.wait_for_batch()
    never = Adding([POISON], [])
    b.scheduler.submit(never)
    b.scheduler.cancel(never)
    b.engine.resume()
    first.wait()
    assert b.scheduler.drain(5)
    assert (never.ends, never.sums) == (0, [])
    assert b.engine.batches == [("read", 1)]


@pytest.mark.parametrize("rows", [2, 3, 8])
def test_a_poisoned_row_fails_alone(bench: MakeBench, rows: int) -> None:
    b = bench()
    b.engine.pause()
    healthy = [Adding([n + 1], [1, 2, 3]) for n in range(rows)]
    poisoned = Adding([1], [1, POISON, 3])
    for job in [*healthy[:1], poisoned, *healthy[1:]]:
        b.scheduler.submit(job)
    b.engine.resume()
    for n, job in enumerate(healthy):
        assert job.wait().sums == alone([n + 1], [1, 2, 3])
    assert isinstance(poisoned.wait().error, StepFailed)
    assert (poisoned.ends, poisoned.sums) == (1, alone([1], [1]))


def test_one_poisoned_row_of_a_wide_job_ends_the_whole_job_once(bench: MakeBench) -> None:
    b = bench(max_batch=2)
    wide = Adding([1], [1, POISON - 1, 1], width=3)
    b.scheduler.submit(wide)
    assert isinstance(wide.wait().error, StepFailed)
    after = Adding([2], [2])
    b.scheduler.submit(after)
    assert after.wait().sums == alone([2], [2])
    assert wide.ends == 1


def test_a_broken_engine_fails_every_job_and_serves_again_when_it_works_again(bench: MakeBench) -> None:
    b = bench()
    b.engine.pause()
    b.engine.broken = True
    jobs = [Adding([n], [1]) for n in range(5)]
    for job in jobs:
        b.scheduler.submit(job)
    b.engine.resume()
    for job in jobs:
        error = job.wait().error
        assert isinstance(error, StepFailed)
        assert "broken" not in str(error), "an unknown exception's text is for the log only"
    b.engine.broken = False
    after = Adding([1], [1])
    b.scheduler.submit(after)
    assert after.wait().sums == alone([1], [1])


@pytest.mark.parametrize("bug", [RuntimeError("a bug"), InvalidInput("wrong"), SystemExit(1)])
def test_what_a_job_raises_fails_that_job_alone(bench: MakeBench, bug: BaseException) -> None:
    def broken() -> None:
        raise bug

    b = bench()
    b.engine.pause()
    bad, good = Adding([1], [1], on_advance=broken), Adding([2], [2])
    b.scheduler.submit(bad)
    b.scheduler.submit(good)
    b.engine.resume()
    assert good.wait().sums == alone([2], [2])
    assert isinstance(bad.wait().error, InvalidInput if isinstance(bug, InvalidInput) else StepFailed)
    assert bad.ends == 1


class Misbehaving:
    """A job that returns nonsense, and whose `fail` fails."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps
        self.failed = threading.Event()
        self.failures = 0

    def begin(self) -> Sequence[Step]:
        return self.steps

    def advance(self, results: Sequence[Result]) -> Sequence[Step]:
        raise AssertionError("never reached")

    def fail(self, error: SeqserveError) -> None:
        self.failures += 1
        self.failed.set()
        raise RuntimeError("a bug in fail")


@pytest.mark.parametrize(
    "steps",
    [[Step("nowhere", {})], [Step("read", {})], None, [None], [Step("read", {"numbers": np.array(3)})]],
)
def test_nonsense_from_a_job_does_not_end_the_loop(bench: MakeBench, steps: Sequence[Step]) -> None:
    b = bench()
    bad, good = Misbehaving(steps), Adding([2], [2])
    b.scheduler.submit(bad)
    b.scheduler.submit(good)
    assert good.wait().sums == alone([2], [2])
    assert bad.failed.wait(5)


def test_two_failing_steps_of_one_job_end_it_once_and_hurt_nobody(bench: MakeBench) -> None:
    b = bench()
    b.engine.pause()
    b.scheduler.submit(blocker := Adding([1], []))
    b.engine.wait_for_batch()
    bad, good = Misbehaving([Step("read", {"numbers": np.array([POISON])})] * 2), Adding([2], [2])
    b.scheduler.submit(bad)
    b.scheduler.submit(good)
    b.engine.resume()
    assert good.wait().sums == alone([2], [2])
    assert blocker.wait().ends == 1
    assert bad.failures == 1


def test_an_engine_that_forgets_an_answer_is_asked_again(bench: MakeBench) -> None:
    b = bench()
    b.engine.pause()
    b.engine.forgetful = True
    jobs = [Adding([n + 1], [1]) for n in range(5)]
    for job in jobs:
        b.scheduler.submit(job)
    b.engine.resume()
    assert [job.wait().sums for job in jobs] == [alone([n + 1], [1]) for n in range(5)]


def test_a_full_queue_refuses_at_once_and_says_when_to_try_again(bench: MakeBench) -> None:
    b = bench(max_queue=3)
    b.engine.pause()
    jobs = [Adding([n], [n]) for n in range(3)]
    for job in jobs:
        b.scheduler.submit(job)
    refused = Adding([9], [])
    with pytest.raises(Overloaded) as overloaded:
        b.scheduler.submit(refused)
    assert 0.1 <= overloaded.value.retry_after_s <= 10
    b.engine.resume()
    for job in jobs:
        job.wait()
    assert refused.ends == 0
    b.scheduler.drain(5)


def test_the_same_job_is_not_taken_twice(bench: MakeBench) -> None:
    b = bench()
    b.engine.pause()
    job = Adding([1], [1])
    b.scheduler.submit(job)
    with pytest.raises(ValueError, match="under way"):
        b.scheduler.submit(job)
    b.engine.resume()
    assert job.wait().sums == alone([1], [1])


def test_a_drain_lets_the_jobs_end_and_takes_no_new_ones(bench: MakeBench) -> None:
    b = bench()
    b.engine.pause()
    job = Adding([1], [1, 2])
    b.scheduler.submit(job)
    b.engine.wait_for_batch()
    b.scheduler.stop_accepting()
    with pytest.raises(Draining):
        b.scheduler.submit(Adding([1], []))
    b.engine.resume()
    assert b.scheduler.drain(10)
    assert job.sums == alone([1], [1, 2])


def test_a_drain_fails_what_is_left_when_its_time_is_over(bench: MakeBench) -> None:
    b = bench()
    b.engine.pause()
    running, waiting = Adding([1], [1, 2]), Adding([1], [])
    b.scheduler.submit(running)
    b.engine.wait_for_batch()
    b.scheduler.submit(waiting)
    threading.Timer(0.2, b.engine.resume).start()
    assert not b.scheduler.drain(0.05)
    for job in (running, waiting):
        assert isinstance(job.error, Draining)
        assert job.ends == 1


def test_a_closed_scheduler_has_failed_what_was_left_and_ended_its_thread(bench: MakeBench) -> None:
    b = bench()
    b.engine.pause()
    job = Adding([1], [1] * 100)
    b.scheduler.submit(job)
    b.engine.wait_for_batch()
    threading.Timer(0.05, b.engine.resume).start()
    b.scheduler.close()
    assert isinstance(job.wait().error, Draining)
    assert not b.scheduler._thread.is_alive()
    b.scheduler.close()
    with pytest.raises(Draining):
        b.scheduler.submit(Adding([1], []))


class Reading:
    """A job that reads several lists at once."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths = lengths
        self.totals: list[int] = []
        self.ended = threading.Event()

    def begin(self) -> Sequence[Step]:
        return [Step("read", {"numbers": np.ones(length, np.int64)}) for length in self.lengths]

    def advance(self, results: Sequence[Result]) -> Sequence[Step]:
        self.totals = [int(result.outputs["total"]) for result in results]
        self.ended.set()
        return []

    def fail(self, error: SeqserveError) -> None:
        raise error


def test_a_job_gets_its_results_in_the_order_of_its_steps_whatever_batches_they_were_in(
    bench: MakeBench,
) -> None:
    b = bench(max_encode_tokens=16)
    job = Reading([1, 9, 2, 15, 3])
    b.scheduler.submit(job)
    assert job.ended.wait(10)
    assert job.totals == [1, 9, 2, 15, 3]
    assert [shape[0] for shape in b.engine.shapes] == [3, 1, 1]


def test_reading_takes_turns_with_running_streams(bench: MakeBench) -> None:
    b = bench(max_encode_tokens=8)
    b.engine.pause()
    stream = Adding([1], [1] * 10)
    b.scheduler.submit(stream)
    b.engine.wait_for_batch()
    readers = [Adding([1] * 8, []) for _ in range(6)]
    for reader in readers:
        b.scheduler.submit(reader)
    b.engine.resume()
    for job in (stream, *readers):
        job.wait()
    reads = [i for i, (graph, _) in enumerate(b.engine.batches) if graph == "read"][1:]
    steps = [i for i, (graph, _) in enumerate(b.engine.batches) if graph == "step"]
    assert len(reads) == 6, "eight tokens fill a batch"
    assert all(any(a < step < z for step in steps) for a, z in pairwise(reads))
    assert reads[-1] < steps[-1], "nor do the readers starve"


def test_rows_of_like_length_are_read_together_and_the_oldest_first(bench: MakeBench) -> None:
    b = bench(max_encode_tokens=32)
    b.engine.pause()
    blocker = Adding([1], [])
    b.scheduler.submit(blocker)
    b.engine.wait_for_batch()
    lengths = [8, 30, 3, 7, 29, 8, 5]
    jobs = [Adding([1] * length, []) for length in lengths]
    for job in jobs:
        b.scheduler.submit(job)
    b.engine.resume()
    assert [job.wait().sums for job in jobs] == [[[length]] for length in lengths]
    assert b.engine.shapes == [(1, 4), (4, 8), (1, 32), (1, 4), (1, 32)]


def test_the_scheduler_counts_what_it_does(bench: MakeBench) -> None:
    b = bench()
    b.engine.pause()
    jobs = [Adding([1], [1]), Adding([POISON], [])]
    for job in jobs:
        b.scheduler.submit(job)
    b.engine.wait_for_batch()
    value = b.metrics.registry.get_sample_value
    model = {"model": "running-sum/1"}
    assert value("seqserve_jobs_active", model) == 2
    b.engine.resume()
    for job in jobs:
        job.wait()
    b.scheduler.drain(5)
    assert value("seqserve_jobs_active", model) == 0
    assert value("seqserve_jobs_total", {**model, "outcome": "done"}) == 1
    assert value("seqserve_jobs_total", {**model, "outcome": "failed"}) == 1
    assert value("seqserve_queue_wait_seconds_count", model | {"priority": "normal"}) == 2
    assert value("seqserve_steps_total", {**model, "graph": "step"}) == 1


def test_what_comes_too_late_for_its_caller_is_not_computed(bench: MakeBench) -> None:
    b = bench(max_batch=1)
    b.engine.pause()
    first, patient = Adding([1], []), Adding([3], [3])
    b.scheduler.submit(first)
    b.engine.wait_for_batch()
    token = until.CURRENT.set(time.monotonic())
    late = Adding([2], [2])
    b.scheduler.submit(late)
    until.CURRENT.reset(token)
    b.scheduler.submit(patient)
    b.engine.resume()
    assert isinstance(late.wait().error, TimedOut)
    assert patient.wait().sums == alone([3], [3])
    assert b.scheduler.drain(5)
    assert b.engine.batches == [("read", 1), ("read", 1), ("step", 1)]


def test_jobs_of_one_caller_are_taken_together_or_not_at_all(bench: MakeBench) -> None:
    b = bench(max_queue=3)
    b.engine.pause()
    taken, refused = [Adding([n], []) for n in range(2)], [Adding([n], []) for n in range(2)]
    b.scheduler.submit(*taken)
    with pytest.raises(Overloaded):
        b.scheduler.submit(*refused)
    with pytest.raises(Overloaded):
        b.scheduler.check_room(2)
    b.scheduler.check_room(1)
    b.engine.resume()
    assert [job.wait().sums for job in taken] == [alone([n], []) for n in range(2)]
    b.scheduler.drain(5)
    assert [job.ends for job in refused] == [0, 0]
