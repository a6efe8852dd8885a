"""What was likeliest to be said under CTC, summed over all ways of saying it: prefix beam search.

Graves (2012, §7.5.3); the form without a language model of Hannun et al. (2014, algorithm 1). The best path takes the
likeliest label of each step; a text that is likely in many ways, each of them a little, is found here alone.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from service.bundle.best_path import BLANK, Heard

Array = np.ndarray[Any, np.dtype[Any]]

NEVER = -np.inf


class Spoken(NamedTuple):
    """A text that may have been said."""

    heard: tuple[Heard, ...]
    """Each token with the step at which the text was first as long."""
    log_prob: float
    """Of all paths to it that stayed in the beam."""


@dataclass(slots=True)
class Mass:
    """Log-probability of a prefix, of its paths that end in a blank and in its last token."""

    blank: float = NEVER
    token: float = NEVER
    heard: tuple[Heard, ...] = field(default=())

    @property
    def total(self) -> float:
        return float(np.logaddexp(self.blank, self.token))


Prefix = tuple[int, ...]
Beam = dict[Prefix, Mass]


def prefix_beam(log_probs: Array, size: int) -> list[Spoken]:
    """The `size` likeliest texts for `log_probs` [time, tokens], best first; equal ones by their tokens."""
    beam: Beam = {(): Mass(blank=0.0)}
    for step, row in enumerate(np.asarray(log_probs, np.float64)):
        ranked = sorted(_grown(beam, row, step, size).items(), key=lambda each: (-each[1].total, each[0]))
        beam = dict(ranked[:size])
    return [Spoken(mass.heard, mass.total) for mass in beam.values()]


def _grown(beam: Beam, row: Array, step: int, size: int) -> Beam:
    """Every prefix as it is after one step more, and those that are longer by a token."""
    grown: Beam = defaultdict(Mass)
    for prefix, mass in beam.items():
        stays, total = grown[prefix], mass.total
        stays.heard = mass.heard
        stays.blank = _sum(stays.blank, total + row[BLANK])
        if prefix:
            stays.token = _sum(stays.token, mass.token + row[prefix[-1]])
    labels = _labels(beam, row, size)
    for prefix, mass in beam.items():
        for label in labels:
            # The same token again is another one only after a blank.
            before = mass.blank if prefix[-1:] == (label,) else mass.total
            if before == NEVER:
                continue
            longer = grown[(*prefix, label)]
            longer.token = _sum(longer.token, before + row[label])
            longer.heard = longer.heard or (*mass.heard, Heard(step, label))
    return grown


def _labels(beam: Iterable[Prefix], row: Array, size: int) -> list[int]:
    """Tokens that can make a prefix that stays: the likeliest of the step, and what prefixes of the beam end with.

    Of the tokens that may follow one prefix `size` are enough, and one more, as a repetition is worth less.
    """
    num = min(len(row), size + 2)
    best = np.argpartition(row, -num)[-num:].tolist()
    ends = {prefix[-1] for prefix in beam if prefix}
    return sorted({*best, *ends} - {BLANK})


def _sum(one: float, other: float) -> float:
    return float(np.logaddexp(one, other))
