"""How far behind an interpreter is, computed by hand."""

import pytest

from service.cli.measures.lag import dal, laal, lag_of


def test_who_is_k_words_behind_all_the_time_lags_by_k() -> None:
    for k in (1, 2, 3):
        delays = [min(k + i, 6) for i in range(6)]
        assert laal(delays, 6, 6) == k
        assert dal(delays, 6) == k


def test_who_waits_for_the_end_lags_by_the_whole_source() -> None:
    assert laal([5, 5, 5, 5], 5, 4) == 5
    assert dal([5, 5, 5, 5, 5], 5) == 5


def test_laal_counts_up_to_the_first_word_that_saw_all_and_dal_lets_no_word_cost_nothing() -> None:
    assert laal([2, 2, 4, 4], 4, 4) == pytest.approx((2 + 1 + 2) / 3)
    # paced: 2, 3, 4, 5; ideal: 0, 1, 2, 3
    assert dal([2, 2, 4, 4], 4) == 2


def test_who_writes_more_than_the_reference_is_not_rewarded_and_who_writes_less_not_either() -> None:
    # paces of 4/8 and 4/4: with the longer one the ideal interpreter is slower
    assert laal([1, 2, 3, 4, 4, 4, 4, 4], 4, 4) == pytest.approx((1 + 1.5 + 2 + 2.5) / 4)
    assert laal([1, 4], 4, 4) == pytest.approx((1 + 3) / 2)


def test_nothing_written_is_no_lag() -> None:
    assert lag_of([], 5, 4) == (0.0, 0.0)
