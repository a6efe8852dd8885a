"""What each target position may look at while the source comes in."""

import torch

from training.data.waiting import draw_wait, visible

STARTS = torch.tensor([False, False, True, False, True, False])
"""2 ends a sentence, 4 begins a word, 5 goes on with one, 0 fills up."""


def seen(source: list[int], target: list[int], wait: int) -> list[int]:
    """How many source positions each target position sees."""
    [mask] = visible(torch.tensor([source]), torch.tensor([target]), STARTS, wait)
    counts = mask.sum(1).tolist()
    assert all(row[:n].all() and not row[n:].any() for row, n in zip(mask, counts, strict=True))
    return [int(count) for count in counts]


def test_target_word_j_sees_k_plus_j_minus_1_source_words() -> None:
    source, target = [4, 4, 4, 4, 2], [4, 4, 4, 4, 2]
    assert seen(source, target, 1) == [1, 2, 3, 4, 5]
    assert seen(source, target, 3) == [3, 4, 5, 5, 5]


def test_subwords_see_what_the_first_one_of_their_word_sees_and_come_with_their_word() -> None:
    source, target = [4, 5, 4, 4, 5, 2], [4, 5, 5, 4, 2]
    assert seen(source, target, 1) == [2, 2, 2, 3, 5]
    assert seen(source, target, 2) == [3, 3, 3, 5, 6]


def test_the_end_of_the_source_is_read_last_and_the_end_of_the_target_sees_it_only_when_it_is_due() -> None:
    assert seen([4, 4, 4, 2], [4, 2], 2) == [2, 3]
    assert seen([4, 2], [4, 4, 4, 2], 1) == [1, 2, 2, 2]


def test_every_k_is_drawn_and_the_last_one_is_the_whole() -> None:
    torch.manual_seed(0)
    assert {draw_wait((2, 4), 99) for _ in range(50)} == {2, 3, 99}
