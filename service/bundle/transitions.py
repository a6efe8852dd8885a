"""Which label follows which: labels of a text's words chosen together (conditional random field, Lafferty et al. 2001).

    score of a text's labels = first[y1] + Σ scores[t, yt] + Σ between[yt, yt+1] + last[yn]

A text is taken alone, in float64 and word by word, so its labels do not depend on who shared its batch. One copy for
serving and for scoring.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from service.errors import InvalidInput

Array = np.ndarray[Any, np.dtype[Any]]

FARTHEST = 50.0
"""Beyond this a score is no score: nothing that was learned comes near, and its exponential is still a number."""


@dataclass(frozen=True, eq=False)
class Transitions:
    """Scores of one label after another."""

    first: Array
    """Of the first word's label: [labels]."""
    between: Array
    """Of a label (second axis) after another (first axis): [labels, labels]."""
    last: Array
    """Of the last word's label: [labels]."""

    def best(self, scores: Array) -> list[int]:
        """The best labels of words with `scores` [words, labels] (Viterbi 1967); of equal ones the first."""
        if not len(scores):
            return []
        scores = scores.astype(np.float64)
        best, before = self.first + scores[0], []
        for row in scores[1:]:
            ways = best[:, None] + self.between
            before.append(ways.argmax(axis=0))
            best = ways.max(axis=0) + row
        labels = [int((best + self.last).argmax())]
        for way in reversed(before):
            labels.append(int(way[labels[-1]]))
        return labels[::-1]

    def probabilities(self, scores: Array) -> Array:
        """Of each label of each word, all labels of the other words considered: [words, labels] (forward-backward)."""
        given = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
        forward, backward = np.empty_like(given), np.empty_like(given)
        share = np.exp(self.first)
        for t, row in enumerate(given):
            forward[t] = share = _shares(share * row)
            share = (share[:, None] * self._ways).sum(axis=0)
        share = np.exp(self.last)
        for t in range(len(given) - 1, -1, -1):
            backward[t] = share = _shares(share)
            share = (self._ways_back * (share * given[t])[:, None]).sum(axis=0)
        both = forward * backward
        shares: Array = both / both.sum(axis=1, keepdims=True)
        return shares

    @cached_property
    def _ways(self) -> Array:
        ways: Array = np.exp(self.between)
        return ways

    @cached_property
    def _ways_back(self) -> Array:
        """Summed along the first axis, too: sums along the last one are cut by the processor's width."""
        return np.ascontiguousarray(self._ways.T)

    def to_json(self) -> str:
        """A line for each label that comes before."""
        rows = ",\n  ".join(_row(row) for row in self.between)
        return f'{{"first": {_row(self.first)},\n "last": {_row(self.last)},\n "between": [\n  {rows}\n]}}\n'

    @classmethod
    def from_json(cls, text: str, num_labels: int) -> Self:
        """What `to_json` wrote; InvalidInput where it is not that, or for another number of labels."""
        try:
            tree = json.loads(text)
            first, between, last = (np.array(tree[name], np.float64) for name in ("first", "between", "last"))
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            raise InvalidInput("wants the numbers first, between and last") from None
        shapes = (first.shape, between.shape, last.shape)
        if shapes != ((num_labels,), (num_labels, num_labels), (num_labels,)) or len(tree) != len(shapes):
            raise InvalidInput(f"wants numbers for {num_labels} labels, and each label after each other")
        for array in (first, between, last):
            if not (np.abs(array) <= FARTHEST).all():
                raise InvalidInput(f"wants numbers from -{FARTHEST:g} to {FARTHEST:g}")
        return cls(first, between, last)


def best_labels(scores: Array, transitions: Transitions | None) -> list[int]:
    """The labels of words by log-probabilities [words, labels]: each word's likeliest (of equal ones the first), or the
    best of all words together.
    """
    return transitions.best(scores) if transitions else [int(label) for label in scores.argmax(axis=1)]


def label_probabilities(scores: Array, transitions: Transitions | None) -> Array:
    """Of each label of each word, float64: [words, labels]."""
    return transitions.probabilities(scores) if transitions else np.exp(scores.astype(np.float64))


def _shares(weights: Array) -> Array:
    shares: Array = weights / weights.sum()
    return shares


def _row(numbers: Array) -> str:
    return json.dumps([float(f"{number:.6g}") for number in numbers])
