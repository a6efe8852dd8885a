"""How far a translation that was written while its source came in lies behind it, in source words.

A delay is how many source words had come when a target word was written. An ideal interpreter writes all the time at
an even pace; what is measured is by how much a real one is behind that.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Lag(NamedTuple):
    """Of one text."""

    laal: float
    """Length-adaptive average lagging (Papi et al. 2022, Eq. 3)."""
    dal: float
    """Differentiable average lagging (Cherry and Foster 2019, Eq. 10 and 11)."""


def lag_of(delays: Sequence[int], num_source: int, num_reference: int) -> Lag:
    """Of target words with these delays, written from `num_source` words; a reference has `num_reference`."""
    return Lag(laal(delays, num_source, num_reference), dal(delays, num_source))


def laal(delays: Sequence[int], num_source: int, num_reference: int) -> float:
    """1/τ Σ d(i) - (i - 1) |X| / max(|Y|, |Y*|), where τ is the first i that has seen all of X.

    |Y*| is the reference: whoever writes too much is not rewarded for it.
    """
    pace = num_source / max(len(delays), num_reference)
    behind = []
    for i, delay in enumerate(delays):
        behind.append(delay - i * pace)
        if delay >= num_source:
            break
    return sum(behind) / len(behind) if behind else 0.0


def dal(delays: Sequence[int], num_source: int) -> float:
    """1/|Y| Σ d'(i) - (i - 1) |X| / |Y|, where d'(i) = max(d(i), d'(i - 1) + |X| / |Y|): no word costs no time."""
    if not delays:
        return 0.0
    pace = num_source / len(delays)
    total, last = 0.0, float("-inf")
    for i, delay in enumerate(delays):
        last = max(delay, last + pace)
        total += last - i * pace
    return total / len(delays)
