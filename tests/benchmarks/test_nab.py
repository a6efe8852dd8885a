"""The score of the Numenta Anomaly Benchmark has the properties that its authors give it."""

import math

import numpy as np
import pytest

from benchmarks.scores.nab import LOW_FN, LOW_FP, PROFILES, STANDARD, Profile, Watched, score, worth_of

LONG = 1000
WINDOWS = [(300, 399), (700, 749)]


def watched(*detections: int, windows: list[tuple[int, int]] = WINDOWS) -> Watched:
    strangeness = np.zeros(LONG)
    strangeness[list(detections)] = 1
    return Watched(strangeness, windows)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_perfect_detector_has_100_and_one_that_says_nothing_0(profile: Profile) -> None:
    assert score([watched(300, 700), watched(300, 700)], profile).score == pytest.approx(100)
    assert score([watched(), watched()], profile) == (0, math.inf)


def test_the_earlier_in_a_window_the_better_and_only_the_first_detection_counts() -> None:
    early, late = score([watched(320, 700)]).score, score([watched(380, 700)]).score
    assert 100 > early > late > 50
    assert score([watched(320, 350, 390, 700, 749)]).score == early


def test_a_detection_halfway_is_worth_what_the_sigmoid_says() -> None:
    halfway = worth_of(-0.5) / worth_of(-1)
    assert halfway == pytest.approx(0.8483 / 0.9866, abs=1e-4)
    assert score([watched(350, 700)]).score == pytest.approx(100 * (2 + halfway + 1) / 4)


def test_a_missed_window_costs_the_more_where_misses_are_feared() -> None:
    assert score([watched(300)], STANDARD).score == pytest.approx(50)
    assert score([watched(300)], LOW_FN).score == pytest.approx(100 * (2 * 2 + 1 - 2) / (2 * 2 + 2))


def test_a_false_alarm_costs_the_more_where_alarms_are_feared_and_the_farther_it_is() -> None:
    right, near, far = (score([watched(300, 700, *more)]).score for more in ((), (405,), (600,)))
    assert right > near > far
    assert far == pytest.approx(100 * (4 - 0.11 * -worth_of(201 / 99)) / 4)
    assert score([watched(300, 700, 600)], LOW_FP).score < far
    before = score([watched(200, 300, 700)]).score
    assert before == pytest.approx(100 * (4 - 0.11) / 4)


def test_what_is_said_in_probation_does_not_count() -> None:
    assert score([watched(10, 149, 300, 700)]).score == pytest.approx(100)
    assert score([watched(150, 300, 700)]).score < 100


def test_probation_is_no_longer_than_that_of_5000_rows() -> None:
    strangeness = np.zeros(20_000)
    strangeness[[749, 1000]] = 1
    assert score([Watched(strangeness, [(1000, 1100)])]).score == pytest.approx(100)
    strangeness[750] = 1
    assert score([Watched(strangeness, [(1000, 1100)])]).score < 100


def test_one_threshold_is_chosen_for_all_series() -> None:
    first, second = watched(300, 700), watched(300, 700)
    first.strangeness[500] = 0.5
    second.strangeness[700] = 0.6
    assert score([first, second]) == pytest.approx((100, 0.6))
