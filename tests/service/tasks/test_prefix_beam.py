"""Prefix beam search beside all paths, counted one by one."""

import itertools
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from service.bundle.best_path import BLANK, best_path
from service.tasks.decoding.prefix_beam import prefix_beam


def rows(seed: int, time: int, tokens: int) -> Any:
    numbers = np.random.default_rng(seed).normal(size=(time, tokens)) * 1.5
    return numbers - np.log(np.exp(numbers).sum(axis=1, keepdims=True))


def all_texts(log_probs: Any) -> dict[tuple[int, ...], float]:
    """The probability of every text, from every path."""
    found: dict[tuple[int, ...], float] = defaultdict(float)
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        text = tuple(label for label, _ in itertools.groupby(path) if label != BLANK)
        found[text] += float(np.exp(sum(log_probs[step, label] for step, label in enumerate(path))))
    return found


def texts(log_probs: Any, size: int) -> list[tuple[int, ...]]:
    return [tuple(one.token for one in each.heard) for each in prefix_beam(log_probs, size)]


@pytest.mark.parametrize("seed", range(6))
def test_a_beam_that_holds_everything_finds_each_text_with_its_probability(seed: int) -> None:
    log_probs = rows(seed, 5, 4)
    expected = all_texts(log_probs)
    found = {tuple(h.token for h in one.heard): np.exp(one.log_prob) for one in prefix_beam(log_probs, 1000)}
    assert found == pytest.approx(expected)
    ranked = sorted(expected, key=lambda text: -expected[text])
    assert texts(log_probs, 1000) == ranked


def test_a_text_that_is_said_in_many_ways_beats_the_best_path() -> None:
    log_probs = np.log([[0.6, 0.4], [0.6, 0.4]])
    assert best_path(log_probs.argmax(axis=1)) == []
    [best, second] = prefix_beam(log_probs, 2)
    assert [each.token for each in best.heard] == [1]
    assert np.exp(best.log_prob) == pytest.approx(0.64)
    assert np.exp(second.log_prob) == pytest.approx(0.36)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_tokens_that_are_left_out_of_a_step_could_not_have_stayed(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service.tasks.decoding import prefix_beam as module

    for seed in range(20):
        log_probs = rows(seed, 12, 9)
        found = prefix_beam(log_probs, size)
        with monkeypatch.context() as patched:
            patched.setattr(module, "_labels", lambda beam, row, size: list(range(1, 9)))
            assert prefix_beam(log_probs, size) == found


def test_tokens_come_with_the_step_at_which_they_were_heard() -> None:
    certain = np.full((6, 3), -20.0)
    for step, label in enumerate([0, 1, 1, 0, 1, 2]):
        certain[step, label] = 0.0
    [best] = prefix_beam(certain, 1)
    assert [(each.step, each.token) for each in best.heard] == [(1, 1), (4, 1), (5, 2)]
