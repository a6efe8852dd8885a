"""Whether one model is better than another, or was lucky: paired bootstrap over the examples (Koehn 2004).

Each example leaves a row of tallies, of whose sum a score is a function: BLEU of matched n-grams and lengths,
accuracy of right labels. So a thousand test sets drawn from the one there is cost a thousand sums.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from service.bundle.spans import spans_of
from training.data.scores import word_distance

Array = np.ndarray[Any, np.dtype[np.float64]]

SAMPLES = 1000
CONFIDENCE = 95.0
"""Percent of the drawn scores that lie within an interval."""


@dataclass(frozen=True)
class Evidence:
    """Tallies of each example `[examples, tallies]`, and the score of their sum `[tallies]`."""

    tallies: Array
    score: Callable[[Array], float]

    @property
    def whole(self) -> float:
        """The score of all examples."""
        return self.score(self.tallies.sum(axis=0))


class Compared(NamedTuple):
    """One model beside the first."""

    score: float
    low: float
    high: float
    """Between which the score of such a test set lies, in 95 of 100."""
    difference: float
    """From the first model's score; 0 for the first itself."""
    p: float
    """How often chance alone makes a difference as large; 1 for the first itself."""


def compare(evidence: Sequence[Evidence], samples: int = SAMPLES, seed: int = 1) -> list[Compared]:
    """All models on the same examples, the first being the one that the others are compared with."""
    drawn = [_drawn(one, samples, seed) for one in evidence]
    return [
        _compared(one, scores, evidence[0], drawn[0]) for one, scores in zip(evidence, drawn, strict=True)
    ]


def of_translations(hypotheses: Sequence[str], references: Sequence[str]) -> Evidence:
    """BLEU."""
    metric = BLEU(effective_order=True)  # bears on a sentence's own score only, which is not used
    found = [
        metric.sentence_score(ours, [theirs]) for ours, theirs in zip(hypotheses, references, strict=True)
    ]
    rows = [[*one.counts, *one.totals, one.sys_len, one.ref_len] for one in found]

    def score(sums: Array) -> float:
        counts, totals, (system, reference) = sums[:4], sums[4:8], sums[8:]
        bleu = BLEU.compute_bleu(
            counts.astype(int).tolist(), totals.astype(int).tolist(), int(system), int(reference), "exp"
        )
        return float(bleu.score)

    return Evidence(np.array(rows, np.float64), score)


def of_labels(labels: Sequence[Any], references: Sequence[Any]) -> Evidence:
    """Accuracy in percent."""
    right = [ours == theirs for ours, theirs in zip(labels, references, strict=True)]
    return of_means([100.0 * each for each in right])


def of_means(scores: Sequence[float]) -> Evidence:
    """The mean of a score that each example has."""
    rows = [(score, 1.0) for score in scores]
    return Evidence(np.array(rows), lambda sums: float(sums[0] / sums[1]))


def of_spans(labels: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> Evidence:
    """F1 of spans in percent."""
    sides = [(set(spans_of(a)), set(spans_of(b))) for a, b in zip(labels, references, strict=True)]
    rows = [(len(ours & theirs), len(ours) + len(theirs)) for ours, theirs in sides]
    return Evidence(np.array(rows, np.float64), lambda sums: float(200 * sums[0] / max(sums[1], 1)))


def of_forecasts(readings: Sequence[Sequence[float]], forecasts: Sequence[Sequence[float]]) -> Evidence:
    """By how many percent squared errors are smaller than if nothing ever changed; the n-th forecast is of what follows
    the n-th reading.
    """
    values, ahead = np.array(readings, np.float64), np.array(forecasts, np.float64)
    ours = ((ahead[:-1] - values[1:]) ** 2).sum(axis=1)
    still = ((values[:-1] - values[1:]) ** 2).sum(axis=1)
    rows = np.stack([ours, still], axis=1)
    return Evidence(rows, lambda sums: float(100 * (1 - sums[0] / sums[1])) if sums[1] else 0.0)


def of_words(hypotheses: Sequence[str], references: Sequence[str]) -> Evidence:
    """Word error rate in percent; lower is better."""
    sides = [(ours.split(), theirs.split()) for ours, theirs in zip(hypotheses, references, strict=True)]
    rows = [(word_distance(*pair), len(pair[1])) for pair in sides]
    return Evidence(np.array(rows, np.float64), lambda sums: float(100 * sums[0] / max(sums[1], 1)))


def _drawn(one: Evidence, samples: int, seed: int) -> Array:
    """The scores of drawn test sets; the same examples for each model, as the seed is."""
    dice, num = np.random.default_rng(seed), len(one.tallies)
    return np.array(
        [one.score(one.tallies[dice.integers(0, num, num)].sum(axis=0)) for _ in range(samples)], np.float64
    )


def _compared(one: Evidence, scores: Array, first: Evidence, first_scores: Array) -> Compared:
    edge = (100 - CONFIDENCE) / 2
    low, high = np.percentile(scores, [edge, 100 - edge])
    difference, drawn = one.whole - first.whole, scores - first_scores
    # How often the drawn differences stray as far from their mean (Riezler & Maxwell 2005 §3.2).
    strays = np.abs(drawn - drawn.mean()) >= abs(difference)
    p = (int(strays.sum()) + 1) / (len(scores) + 1)
    return Compared(one.whole, float(low), float(high), difference, p)
