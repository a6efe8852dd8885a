import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.scores import score_labels, score_spans, score_translations, word_error_rate
from training.data.significance import (
    compare,
    of_forecasts,
    of_labels,
    of_means,
    of_spans,
    of_translations,
    of_words,
)

sentences = st.lists(
    st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "today"]), min_size=1, max_size=9
).map(" ".join)
pairs = st.lists(st.tuples(sentences, sentences), min_size=1, max_size=8)


@given(pairs)
def test_the_sum_of_the_tallies_scores_as_the_whole_does(both: list[tuple[str, str]]) -> None:
    ours, theirs = map(list, zip(*both, strict=True))
    assert of_translations(ours, theirs).whole == pytest.approx(score_translations(ours, theirs).score)
    assert of_words(ours, theirs).whole == pytest.approx(word_error_rate(ours, theirs))
    assert of_labels(ours, theirs).whole == pytest.approx(score_labels(ours, theirs))


def test_spans_are_summed_up_before_they_are_scored() -> None:
    ours, theirs = [["B-a", "I-a", "O"], ["O", "B-b"]], [["B-a", "O", "O"], ["O", "B-b"]]
    assert of_spans(ours, theirs).whole == pytest.approx(score_spans(ours, theirs).f1)


def test_a_forecast_is_better_than_standing_still_by_what_it_saves() -> None:
    readings = [[0.0], [1.0], [2.0], [3.0]]
    assert of_forecasts(readings, [[1.0], [2.0], [3.0], [9.0]]).whole == 100
    assert of_forecasts(readings, [[0.0], [1.0], [2.0], [9.0]]).whole == 0


def test_a_model_beside_itself_is_no_better() -> None:
    [first, again] = compare([of_means([1.0, 2.0, 5.0])] * 2)
    assert (first.difference, again.difference, again.p) == (0, 0, 1)
    assert first.low <= first.score <= first.high


def test_a_clear_difference_is_no_chance_and_a_small_one_may_be() -> None:
    dice = np.random.default_rng(0)
    base = dice.normal(50, 10, 400)
    better, same = base + dice.normal(2, 3, 400), base + dice.normal(0.05, 3, 400)
    _, clear, small = compare([of_means(base.tolist()), of_means(better.tolist()), of_means(same.tolist())])
    assert clear.p < 0.01
    assert small.p > 0.05
    assert clear.difference == pytest.approx(float((better - base).mean()))


def test_chance_alone_seldom_looks_like_a_difference() -> None:
    """Under no true difference about 5 of 100 comparisons have p below 0.05."""
    dice = np.random.default_rng(1)
    found = 0
    for _ in range(100):
        one, other = dice.normal(0, 1, 60), dice.normal(0, 1, 60)
        found += compare([of_means(one.tolist()), of_means(other.tolist())], samples=200)[1].p < 0.05
    assert 0 <= found <= 14


def test_intervals_shrink_as_test_sets_grow() -> None:
    dice = np.random.default_rng(2)
    widths = []
    for num in (50, 5000):
        [one] = compare([of_means(dice.normal(0, 1, num).tolist())], samples=300)
        widths.append(one.high - one.low)
    assert widths[1] < widths[0] / 5
