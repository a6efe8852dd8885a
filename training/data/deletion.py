"""Which words of a sentence a shorter one keeps, where it was made by leaving words out (Filippova and Altun 2013)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Table = np.ndarray[Any, np.dtype[np.int64]]

KEEP, DROP = "keep", "drop"
LABELS = (DROP, KEEP)

WORD, MARK, RUN = 100, 30, 1
"""What a word, a mark, and two kept neighbours count for: of the ways to find all words, the one in fewest pieces."""


def kept_words(words: Sequence[str], shorter: Sequence[str]) -> list[bool]:
    """For each word whether it is kept: the heaviest common subsequence, in any case of the letters."""
    ours, theirs = [word.lower() for word in words], [word.lower() for word in shorter]
    best = np.zeros((len(ours) + 1, len(theirs) + 1), np.int64)
    ending = np.full(best.shape, -(10**9), np.int64)
    for i, word in enumerate(ours, 1):
        weight = WORD if any(map(str.isalnum, word)) else MARK
        for j, other in enumerate(theirs, 1):
            if word == other:
                ending[i, j] = weight + max(best[i - 1, j - 1], ending[i - 1, j - 1] + RUN)
            best[i, j] = max(best[i - 1, j], best[i, j - 1], ending[i, j])
    return _traced(best, ending)


def _traced(best: Table, ending: Table) -> list[bool]:
    kept = [False] * (len(best) - 1)
    i, j, in_run = len(best) - 1, best.shape[1] - 1, False
    while i and j:
        if in_run or ending[i, j] == best[i, j]:
            kept[i - 1] = True
            in_run = bool(ending[i - 1, j - 1] + RUN > best[i - 1, j - 1])
            i, j = i - 1, j - 1
        elif best[i - 1, j] == best[i, j]:
            i -= 1
        else:
            j -= 1
    return kept
