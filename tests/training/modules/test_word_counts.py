"""Naive Bayes beside a network: its formula, texts that do not judge themselves, and sums that are exact."""

import math

import torch

from training.modules.word_counts import STEP, WordCounts

TEXTS = [([4, 5, 5], 0), ([4, 6], 0), ([6, 7, 1], 1), ([7], 2)]
"""Ids and label; 1 is the unknown word."""
VOCAB, LABELS = 8, 3


def counted(texts: list[tuple[list[int], int]]) -> WordCounts:
    counts = WordCounts(VOCAB, LABELS)
    counts.count(texts)
    return counts


def told(counts: WordCounts, ids: list[int], left_out: int | None = None) -> torch.Tensor:
    source = torch.tensor([ids])
    label = None if left_out is None else torch.tensor([left_out])
    found: torch.Tensor = counts(source, torch.ones_like(source, dtype=torch.bool), label)
    return found[0].detach()


def test_the_ratios_are_those_of_the_formula() -> None:
    table = counted(TEXTS).table()
    shares = [
        math.log((1 + 1) / (5 + VOCAB)),
        math.log((1 + 1) / (3 + VOCAB)),
        math.log((0 + 1) / (1 + VOCAB)),
    ]
    expected = [share - sum(shares) / LABELS for share in shares]
    torch.testing.assert_close(table[6], torch.tensor(expected), rtol=0, atol=STEP / 2)
    assert not table[:4].any()  # special tokens, the unknown word among them, tell nothing


def test_a_text_that_was_counted_is_judged_as_if_it_had_not_been() -> None:
    for number, (ids, label) in enumerate(TEXTS):
        others = counted(TEXTS[:number] + TEXTS[number + 1 :])
        assert torch.equal(told(counted(TEXTS), ids, left_out=label), told(others, ids))
        assert not torch.equal(told(counted(TEXTS), ids), told(others, ids))


def test_padding_tells_nothing_and_a_text_in_pieces_as_much_as_whole() -> None:
    counts = counted(TEXTS)
    padded = counts(torch.tensor([[4, 6, 7, 7]]), torch.tensor([[True, True, False, False]]))[0]
    assert torch.equal(padded, told(counts, [4, 6]))
    assert torch.equal(told(counts, [4]) + told(counts, [6]), padded)
