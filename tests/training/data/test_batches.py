from collections import Counter

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.data.batches import Example, collate, pad, plan_batches, plan_epoch, share

SIDES = st.integers(1, 12).map(lambda length: list(range(4, 4 + length)))
EXAMPLES = st.lists(st.builds(Example, SIDES, SIDES), min_size=1, max_size=60)


@given(EXAMPLES, st.integers(1, 200), st.integers(0, 9), st.integers(0, 9))
def test_an_epoch_shows_every_example_once(examples: list[Example], room: int, seed: int, epoch: int) -> None:
    plan = plan_epoch(examples, room, seed, epoch)
    assert Counter(index for rows in plan for index in rows) == Counter(range(len(examples)))


@given(EXAMPLES, st.integers(1, 200))
def test_a_batch_keeps_to_its_tokens_and_to_one_source_length(examples: list[Example], room: int) -> None:
    for rows in plan_batches(examples, room):
        batch = [examples[index] for index in rows]
        width = max(max(map(len, example)) for example in batch)
        assert len({len(example.source) for example in batch}) == 1
        assert width * len(batch) <= room or len(batch) == 1


@given(EXAMPLES, st.integers(1, 200), st.integers(2, 9))
def test_with_a_coarser_grain_lengths_differ_by_less_than_it(
    examples: list[Example], room: int, grain: int
) -> None:
    plan = plan_batches(examples, room, grain)
    assert Counter(index for rows in plan for index in rows) == Counter(range(len(examples)))
    for rows in plan:
        lengths = [len(examples[index].source) for index in rows]
        width = max(max(map(len, examples[index])) for index in rows)
        assert max(lengths) - min(lengths) < grain
        assert width * len(rows) <= room or len(rows) == 1


@given(EXAMPLES)
def test_the_order_depends_on_seed_and_epoch_alone(examples: list[Example]) -> None:
    assert plan_epoch(examples, 30, 1, 2) == plan_epoch(examples, 30, 1, 2)


def test_epochs_differ() -> None:
    examples = [Example([4] * (1 + index % 3), [5]) for index in range(50)]
    assert plan_epoch(examples, 30, 1, 2) != plan_epoch(examples, 30, 1, 3)


@given(EXAMPLES, st.integers(1, 4))
def test_processes_share_a_plan_evenly_and_without_overlap(examples: list[Example], world: int) -> None:
    plan = plan_epoch(examples, 20, 0, 0)
    parts = [share(plan, rank, world) for rank in range(world)]
    assert {len(part) for part in parts} == {len(plan) // world}
    shown = [index for part in parts for rows in part for index in rows]
    assert len(shown) == len(set(shown))


def test_short_rows_are_filled_up() -> None:
    batch = collate([Example([7, 8], [1, 9, 2]), Example([5, 6], [1, 2])])
    assert torch.equal(batch.source, torch.tensor([[7, 8], [5, 6]]))
    assert torch.equal(batch.target, torch.tensor([[1, 9, 2], [1, 2, 0]]))
    assert torch.equal(batch.lengths, torch.tensor([2, 2]))


def test_features_are_filled_up_with_silence() -> None:
    short, long = np.ones((1, 3), np.float32), np.ones((2, 3), np.float64)
    batch = collate([Example(short, [4]), Example(long, [5, 6])])
    assert batch.source.dtype == torch.float32
    assert torch.equal(batch.source[0], torch.tensor([[1.0, 1, 1], [0, 0, 0]]))
    assert torch.equal(batch.lengths, torch.tensor([1, 2]))
    assert torch.equal(batch.target, torch.tensor([[4, 0], [5, 6]]))


def test_rows_may_be_filled_up_with_what_is_no_label() -> None:
    assert torch.equal(pad([[0, 1], [1]], filler=-100), torch.tensor([[0, 1], [1, -100]]))


def test_a_coarser_grain_lets_unequal_sources_run_together() -> None:
    examples = [Example([4] * length, [5]) for length in (9, 8, 15, 16)]
    assert plan_batches(examples, 1000, grain=8) == [[1, 0, 2], [3]]
