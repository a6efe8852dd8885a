"""How early, and how quietly, a detector finds the anomalies of series: the score of the Numenta Anomaly Benchmark.

Lavin and Ahmad 2015: a window lies around each anomaly. The first detection in it is worth the more the
earlier it is; one outside costs, the more the farther behind the last window it is; a window without any costs.
The sum is set between that of a detector which says nothing (0) and of one which is right at once, each time (100).
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

PROBATION = 0.15
"""Share of a series in which a detector may learn, and nothing counts."""
LONGEST_PROBATION = 5000
"""Rows that this is a share of, at most."""


class Profile(NamedTuple):
    """What a detection, a false alarm and a missed window are worth to somebody."""

    name: str
    found: float
    alarm: float
    missed: float


STANDARD = Profile("standard", 1.0, 0.11, 1.0)
LOW_FP = Profile("low FP", 1.0, 0.22, 1.0)
LOW_FN = Profile("low FN", 1.0, 0.11, 2.0)
PROFILES = STANDARD, LOW_FP, LOW_FN


class Watched(NamedTuple):
    """A series with a detector's word on each row."""

    strangeness: Array
    """`[time]`; the higher, the stranger."""
    windows: Sequence[tuple[int, int]]
    """First and last row of each, in order."""


class NabScore(NamedTuple):
    """The best that any threshold gives, and that threshold: a detection is what is as strange, or stranger."""

    score: float
    threshold: float


class Rows(NamedTuple):
    """Rows that count, of all series."""

    strangeness: Array
    window: Array
    """Number of the window that a row lies in; -1: none."""
    worth: Array
    """By itself: up to 1 in a window, down to -1 outside."""


def score(series: Sequence[Watched], profile: Profile = STANDARD) -> NabScore:
    """One threshold serves all series, and is chosen on the score itself, as the benchmark does for every detector."""
    rows, num_windows = _rows(series)
    best = max(_sums(rows, num_windows, profile), key=lambda each: each[0])
    nothing, perfect = -profile.missed * num_windows, profile.found * num_windows
    return NabScore(100 * (best[0] - nothing) / (perfect - nothing), best[1])


def worth_of(position: float) -> float:
    """Of a detection, -1 being a window's first row, 0 its end, 1 as far behind it as it is long."""
    return -1.0 if position >= 3 else 2 / (1 + math.exp(5 * position)) - 1


def _rows(series: Sequence[Watched]) -> tuple[Rows, int]:
    """All that count; windows that lie in probation are none."""
    parts, seen = [], 0
    for one in series:
        window, worth = _judged(one)
        begin = math.floor(PROBATION * min(len(window), LONGEST_PROBATION))
        inside = np.unique(window[begin:][window[begin:] >= 0])
        numbers = np.full(len(one.windows) + 1, -1)
        numbers[inside] = seen + np.arange(len(inside))
        seen += len(inside)
        parts.append((one.strangeness[begin:], numbers[window[begin:]], worth[begin:]))
    return Rows(*(np.concatenate(column) for column in zip(*parts, strict=True))), seen


def _judged(series: Watched) -> tuple[Array, Array]:
    """The window of each row, and what a detection there is worth."""
    window, worth = np.full(len(series.strangeness), -1), np.full(len(series.strangeness), -1.0)
    earliest = worth_of(-1)
    for number, (first, last) in enumerate(series.windows):
        size = last - first + 1
        window[first : last + 1] = number
        worth[first : last + 1] = [
            worth_of((row - last - 1) / size) / earliest for row in range(first, last + 1)
        ]
        following = series.windows[number + 1][0] if number + 1 < len(series.windows) else len(worth)
        behind = range(last + 1, following)
        worth[last + 1 : following] = [worth_of((row - last) / max(size - 1, 1)) for row in behind]
    return window, worth


def _sums(rows: Rows, num_windows: int, profile: Profile) -> list[tuple[float, float]]:
    """Sum and threshold, from the threshold that nothing reaches down to the one that everything does."""
    best = np.full(num_windows, -profile.missed)
    total, threshold, sums = float(best.sum()), math.inf, []
    for row in np.argsort(-rows.strangeness, kind="stable"):
        if rows.strangeness[row] != threshold:
            sums.append((total, threshold))
            threshold = float(rows.strangeness[row])
        if (window := rows.window[row]) < 0:
            total += profile.alarm * rows.worth[row]
        elif (worth := profile.found * rows.worth[row]) > best[window]:
            total += worth - best[window]
            best[window] = worth
    return [*sums, (total, threshold)]
