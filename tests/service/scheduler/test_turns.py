"""Who reads and who writes when: a virtual clock, an engine that says how long it took, and no sleeping."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.config import SchedulerSettings
from service.scheduler.pace import Arrival
from service.scheduler.queues import Queue, Waiting
from service.scheduler.run import Run
from service.scheduler.turns import READING_SHARE, Turns
from service.step import Step
from tests.fakes.jobs import Adding
from tests.fakes.running_sum import READ, STEP

EVERYTHING = float("inf")
WRITING_SHARE = 1 - READING_SHARE


def queue_of(lengths: Iterable[int], **limits: int) -> Queue:
    queue = Queue(READ, SchedulerSettings(**limits))
    for length in lengths:
        put(queue, length)
    return queue


def put(queue: Queue, length: int) -> None:
    queue.put(
        Run(Adding([1], []), Arrival(0.0, 0.0)), 0, Step("read", {"numbers": np.ones(length, np.int64)})
    )


def padded(batch: list[Waiting]) -> int:
    return len(batch) * max(waiting.length for waiting in batch)


@dataclass
class Engine:
    """How long batches take, and what was done when."""

    per_read_s: float = 500e-6
    per_token_s: float = 10e-6
    per_roll_s: float = 300e-6
    per_row_s: float = 20e-6
    queue: Queue = field(default_factory=lambda: queue_of([]))
    turns: Turns = field(default_factory=Turns)
    writing: deque[int] = field(default_factory=deque)
    """Steps that each who writes has still to go."""
    now_s: float = 0.0
    done: list[tuple[str, int, float]] = field(default_factory=list)
    """(read or roll, rows, seconds) of each batch."""

    def cycle(self, num_steps: int) -> None:
        """One batch, as the scheduler chooses it; who was read writes so many steps."""
        if self.turns.is_for_rollouts(len(self.writing), len(self.queue)):
            seconds = self.per_roll_s + self.per_row_s * len(self.writing)
            self.turns.rolled(seconds)
            self._took("roll", len(self.writing), seconds)
            self.writing = deque(left - 1 for left in self.writing if left > 1)
        else:
            limit = self.turns.max_tokens("read", len(self.queue), len(self.writing))
            batch = self.queue.take(limit)
            seconds = self.per_read_s + self.per_token_s * padded(batch)
            self.turns.ran("read", padded(batch), seconds)
            self._took("read", len(batch), seconds)
            self.writing.extend([num_steps] * len(batch))

    def seconds(self, what: str) -> float:
        return sum(seconds for kind, _, seconds in self.done if kind == what)

    def _took(self, what: str, rows: int, seconds: float) -> None:
        self.now_s += seconds
        self.done.append((what, rows, seconds))


def test_a_queue_that_is_told_no_bound_takes_what_its_settings_allow() -> None:
    assert len(queue_of([4] * 10).take()) == 10
    assert len(queue_of([4] * 10, max_batch=3).take()) == 3
    assert padded(queue_of([4] * 10, max_encode_tokens=16).take()) == 16


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=30),
    st.integers(1, 300) | st.just(EVERYTHING),
    st.integers(1, 300),
    st.integers(1, 12),
)
def test_no_bound_is_passed_and_everybody_is_taken_once_the_oldest_of_each_batch_first(
    lengths: list[int], bound: float, max_encode_tokens: int, max_batch: int
) -> None:
    queue = queue_of(lengths, max_encode_tokens=max_encode_tokens, max_batch=max_batch)
    oldest, taken = list(queue._waiting), []
    while queue:
        batch = queue.take(bound)
        assert batch[0] is next(waiting for waiting in oldest if waiting not in taken)
        assert len(batch) <= max_batch
        assert len(batch) == 1 or padded(batch) <= min(bound, max_encode_tokens)
        taken += batch
    assert len(taken) == len(lengths) == len(set(map(id, taken)))


def test_a_bound_of_nothing_still_takes_the_oldest() -> None:
    queue = queue_of([8, 4, 4])
    assert [len(queue.take(0.0)) for _ in range(3)] == [1, 1, 1]


def test_a_bound_on_reading_does_not_bound_other_graphs() -> None:
    queue = Queue(STEP, SchedulerSettings())
    for _ in range(9):
        context = {"list": np.ones(50, np.int64)}
        queue.put(
            Run(Adding([1], []), Arrival(0.0, 0.0)), 0, Step("step", {"number": np.array(1)}, {}, context)
        )
    assert len(queue.take(1.0)) == 9


def test_where_nobody_writes_reading_takes_all_there_is() -> None:
    turns = Turns()
    turns.rolled(0.001)
    turns.ran("read", 100, 0.01)
    assert turns.max_tokens("read", 5, 0) == EVERYTHING
    assert not turns.is_for_rollouts(0, 5)


def test_where_nobody_is_to_be_read_writing_goes_on() -> None:
    turns = Turns()
    assert turns.is_for_rollouts(3, 0)
    turns.rolled(1.0)
    assert turns.is_for_rollouts(3, 0)


def test_what_nobody_has_measured_is_not_bounded() -> None:
    turns = Turns()
    turns.rolled(0.001)
    turns.ran("read", 10, 0.001)
    assert turns.max_tokens("another", 1, 50) == EVERYTHING


def test_a_portion_is_worth_a_few_steps_while_more_write_than_wait() -> None:
    turns = Turns()
    turns.rolled(0.002)
    turns.ran("read", 100, 0.001)
    steps = turns.max_tokens("read", 1, 1000) * 1e-5 / 0.002
    assert steps == pytest.approx(READING_SHARE / WRITING_SHARE, rel=0.01)
    assert 1 <= steps <= 5


def test_portions_grow_with_those_who_wait_and_shrink_with_those_who_write() -> None:
    turns = Turns()
    turns.rolled(0.002)
    turns.ran("read", 100, 0.001)
    by_waiting = [turns.max_tokens("read", num, 8) for num in (1, 8, 64)]
    by_writing = [turns.max_tokens("read", 8, num) for num in (1, 8, 64)]
    assert by_waiting == sorted(set(by_waiting))
    assert by_writing == sorted(set(by_writing), reverse=True)


def test_a_slower_engine_reads_smaller_portions_within_a_few_batches() -> None:
    turns = Turns()
    turns.rolled(0.002)
    turns.ran("read", 100, 0.001)
    before = turns.max_tokens("read", 1, 50)
    for _ in range(30):
        turns.ran("read", 100, 0.004)
    assert turns.max_tokens("read", 1, 50) == pytest.approx(before / 4, rel=0.1)


def test_sixty_four_who_come_at_once_are_read_together() -> None:
    """The first may come a moment before the others; it must not make them come in one by one."""
    engine = Engine(queue=queue_of([8]))
    engine.cycle(20)
    engine.cycle(20)
    for _ in range(63):
        put(engine.queue, 8)
    while engine.writing or engine.queue:
        engine.cycle(20)
    rolls = [rows for what, rows, _ in engine.done if what == "roll"]
    assert np.mean(rolls) > 32
    assert max(rolls) == 64


def test_a_very_long_text_is_followed_by_its_share_of_writing() -> None:
    engine = Engine(queue=queue_of([]), writing=deque([10**6] * 16))
    engine.cycle(1)
    for _ in range(40):
        put(engine.queue, 2000)
    for _ in range(400):
        engine.cycle(10**6)
    reads = [at for at, (what, _, _) in enumerate(engine.done) if what == "read"]
    for this, following in pairwise(reads):
        assert engine.done[this][1] == 1, "each is a batch by itself"
        wrote = sum(seconds for _, _, seconds in engine.done[this + 1 : following])
        assert wrote >= engine.done[this][2] * WRITING_SHARE / READING_SHARE * 0.999


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nobody_starves_whatever_comes(data: st.DataObject) -> None:
    a, b, c, d = (data.draw(st.floats(1e-6, 2e-3)) for _ in range(4))
    engine = Engine(a, b, c, d, queue=queue_of([], max_encode_tokens=data.draw(st.integers(64, 2048))))
    engine.writing.extend([10**9] * data.draw(st.integers(1, 32)))
    engine.cycle(1)
    lengths, burst = data.draw(st.lists(st.integers(1, 400), min_size=1)), data.draw(st.integers(1, 40))
    for at in range(300):
        while len(engine.queue) < burst:
            put(engine.queue, lengths[at % len(lengths)])
        engine.cycle(data.draw(st.integers(1, 30)) if at < 10 else 10)
    kinds = [what for what, _, _ in engine.done]
    assert ("read", "read") not in pairwise(kinds), "writing starves"
    longest_roll = max(seconds for what, _, seconds in engine.done if what == "roll")
    owed = 0.0
    for what, _, seconds in engine.done[1:]:
        owed = seconds * WRITING_SHARE / READING_SHARE if what == "read" else owed - seconds
        assert owed > -longest_roll - 1e-12, "reading starves"


@pytest.mark.parametrize("burst", [1, 8, 64])
@pytest.mark.parametrize("length", [40, 200])
def test_where_both_have_enough_to_do_reading_gets_its_share_at_most(burst: int, length: int) -> None:
    engine = Engine(writing=deque([10**9] * 16))
    for _ in range(400):
        while len(engine.queue) < burst:
            put(engine.queue, length)
        engine.cycle(1)
    share = engine.seconds("read") / engine.now_s
    assert 0.5 < share <= READING_SHARE + 0.01
