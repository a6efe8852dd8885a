"""ROUGE (Lin 2004): how much of a reference's words a summary has, in percent.

F1 of common n-grams (ROUGE-1, ROUGE-2) and of the longest common subsequence (ROUGE-L), averaged over the texts. As in
the widely used `rouge-score`: lower case, words of letters and digits only, no stemming.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple


class RougeScore(NamedTuple):
    """F1 in percent."""

    one: float
    two: float
    longest: float


def score_rouge(outputs: Sequence[str], references: Sequence[str]) -> RougeScore:
    """Against one reference each."""
    pairs = [(_words(ours), _words(theirs)) for ours, theirs in zip(outputs, references, strict=True)]
    one, two = (fmean(_ngrams(*pair, n) for pair in pairs) for n in (1, 2))
    return RougeScore(100 * one, 100 * two, 100 * fmean(_longest(*pair) for pair in pairs))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _ngrams(ours: Sequence[str], theirs: Sequence[str], n: int) -> float:
    counts = [Counter(_runs(words, n)) for words in (ours, theirs)]
    return _f1((counts[0] & counts[1]).total(), counts[0].total(), counts[1].total())


def _runs(words: Sequence[str], n: int) -> Iterable[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(n)), strict=False)


def _longest(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """Of the longest common subsequence."""
    row = [0] * (len(theirs) + 1)
    for word in ours:
        before = 0
        for column, other in enumerate(theirs, 1):
            found = before + 1 if word == other else max(row[column], row[column - 1])
            before, row[column] = row[column], found
    return _f1(row[-1], len(ours), len(theirs))


def _f1(common: int, num_ours: int, num_theirs: int) -> float:
    return 2 * common / (num_ours + num_theirs) if common else 0.0
