"""Draws: by the probabilities, and the same whoever shares the batch."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.scheduler.drawing import best_of, drawn_from_all, drawn_from_best, uniforms
from service.step import Array

MASK = 2**64 - 1

seeds = st.integers(0, MASK)
rows = st.lists(st.floats(-20, 0, width=32), min_size=1, max_size=30)


def mixed(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def splitmix(state: int, place: int) -> int:
    """The place-th output, by the book."""
    return mixed((state + (place + 1) * 0x9E3779B97F4A7C15) & MASK)


def many(num: int, seed: int = 7) -> Array:
    return uniforms(np.full(num, seed, np.uint64), np.arange(num))


def filled(value: float, num: int = 1) -> Array:
    return np.full(num, value)


def log_softmax(logits: Any) -> Array:
    logits = np.array(logits, np.float64)
    found: Array = (logits - np.log(np.exp(logits).sum())).astype(np.float32)
    return found


def test_the_generator_by_the_book_gives_the_numbers_that_are_known_of_it() -> None:
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [splitmix(1234567, place) for place in range(4)] == known


@given(st.lists(st.tuples(seeds, st.integers(0, 10**6)), min_size=1, max_size=20))
def test_numbers_are_those_of_the_book_in_any_company(pairs: list[tuple[int, int]]) -> None:
    found = uniforms(np.array([s for s, _ in pairs], np.uint64), np.array([p for _, p in pairs]))
    assert found.tolist() == [(splitmix(mixed(s), p) >> 11) / 2**53 for s, p in pairs]


def test_numbers_are_spread_evenly_over_places_and_over_seeds() -> None:
    by_seed = uniforms(np.arange(10_000, dtype=np.uint64), np.zeros(10_000, np.int64))
    for numbers in (many(10_000), by_seed):
        counts, _ = np.histogram(numbers, bins=20, range=(0, 1))
        assert counts.min() > 420  # 500 each, give or take four standard deviations
        assert counts.max() < 590


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_their_probabilities_at_the_temperature_say(temperature: float) -> None:
    log_probs, num = log_softmax([2, 1, 0, -1]), 20_000
    table = np.tile(log_probs, (num, 1))
    expected = np.exp(log_probs / temperature) / np.exp(log_probs / temperature).sum()
    from_best = drawn_from_best(table, filled(4, num), filled(1.0, num), filled(temperature, num), many(num))
    from_all = drawn_from_all(table, filled(1.0, num), filled(temperature, num), many(num))
    for drawn in (from_best, from_all):
        shares = np.bincount(drawn, minlength=4) / num
        assert shares == pytest.approx(expected, abs=0.015)


@given(rows, st.integers(1, 30), st.floats(0.05, 1), st.floats(0.1, 10), st.floats(0, 1, exclude_max=True))
def test_from_the_best_only_those_are_drawn_that_topk_and_topp_leave(
    logits: list[float], topk: int, topp: float, temperature: float, number: float
) -> None:
    log_probs = np.sort(log_softmax(logits))[::-1]
    [which] = drawn_from_best(
        log_probs[None], filled(topk), filled(topp), filled(temperature), filled(number)
    )
    weights = np.exp(log_probs.astype(np.float64)[:topk] / temperature)
    shares = weights / weights.sum()
    assert which < topk
    assert shares[:which].sum() < topp + 1e-9


@given(rows, st.floats(0.05, 1), st.floats(0.1, 10), st.floats(0, 1, exclude_max=True))
def test_from_all_only_those_are_drawn_that_topp_leaves(
    logits: list[float], topp: float, temperature: float, number: float
) -> None:
    log_probs = log_softmax(logits)
    [which] = drawn_from_all(log_probs[None], filled(topp), filled(temperature), filled(number))
    weights = np.exp(log_probs.astype(np.float64) / temperature)
    better = (
        weights[weights > weights[which] * (1 + 1e-5)].sum() / weights.sum()
    )  # they are in single precision
    assert better < topp + 1e-5


@given(
    st.lists(
        st.tuples(rows, st.integers(1, 30), st.floats(0.05, 1), st.floats(0.1, 10), seeds),
        min_size=2,
        max_size=9,
    )
)
def test_a_row_draws_the_same_alone_and_beside_wider_ones(
    work: list[tuple[list[float], int, float, float, int]],
) -> None:
    width = max(len(logits) for logits, *_ in work)
    table = np.full((len(work), width), -np.inf, np.float32)
    for row, (logits, *_) in zip(table, work, strict=True):
        row[: len(logits)] = np.sort(log_softmax(logits))[::-1]
    topk, topp, temperature = (np.array(column) for column in list(zip(*work, strict=True))[1:4])
    numbers = uniforms(np.array([seed for *_, seed in work], np.uint64), np.zeros(len(work), np.int64))
    together = drawn_from_best(table, topk, topp, temperature, numbers)
    of_all = drawn_from_all(table, topp, temperature, numbers)
    for at, (logits, *_) in enumerate(work):
        one = slice(at, at + 1)
        alone = table[one, : len(logits)]
        assert drawn_from_best(alone, topk[one], topp[one], temperature[one], numbers[one]) == together[at]
        assert drawn_from_all(alone, topp[one], temperature[one], numbers[one]) == of_all[at]


def test_what_may_not_be_drawn_does_not_count_among_the_best() -> None:
    log_probs = np.array([[-np.inf, -1.0, -2.0, -3.0]])
    drawn = {
        int(drawn_from_best(log_probs, filled(2), filled(1.0), filled(1.0), filled(number))[0])
        for number in (0.0, 0.5, 0.999)
    }
    assert drawn == {1, 2}


@given(rows, st.integers(1, 40))
def test_the_best_come_in_order_and_of_equal_ones_the_first(numbers: list[float], num: int) -> None:
    values = np.round(np.array(numbers), 0)
    expected = sorted(range(len(values)), key=lambda at: (-values[at], at))[:num]
    assert best_of(values, num).tolist() == expected
