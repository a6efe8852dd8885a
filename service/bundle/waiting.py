"""How far what is written lies behind what was read, in words: one copy for training and for serving.

wait-k (Ma et al. 2019 §3.1, Eq. 3): target word j sees g(j) = min(k + j - 1, |x|) source words. Words here are what
stands between white space; all subwords of a word see what its first one sees. The end of a sentence counts as a word
of its own, on both sides: it is the last thing that is read, and the last that is written.
"""

from typing import Any

import numpy as np

from service.bundle.tokenizer import EOS, SPECIALS, Tokenizer

WHOLE = 1_000_000
"""A k that waits for the end of any source."""

Flags = np.ndarray[Any, np.dtype[np.bool_]]


def word_starts(tokenizer: Tokenizer) -> Flags:
    """For each token whether a word begins with it: `[vocabulary]`."""
    starts = [tokenizer.piece(token).startswith(" ") for token in range(tokenizer.size)]
    starts[: len(SPECIALS)] = [False] * len(SPECIALS)
    starts[EOS] = True
    return np.array(starts)


def num_visible(word: int, wait: int) -> int:
    """How many source words must have come before target word number `word`, from 1, is written."""
    return wait + word - 1
