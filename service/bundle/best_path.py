"""Tokens from what was likeliest at each step under CTC (Graves et al. 2006, §3.2, best path decoding)."""

from typing import Any, NamedTuple

import numpy as np

from service.bundle.tokenizer import PAD

Array = np.ndarray[Any, np.dtype[Any]]

BLANK = PAD
"""The label that says nothing: no text holds it, and so the filler's id is free for it."""


class Heard(NamedTuple):
    """A token and the step at which it was heard."""

    step: int
    token: int


def best_path(ids: Array, last: int = BLANK) -> list[Heard]:
    """The tokens of `ids` [time], the likeliest at each step: repetitions are one, then blanks fall out.

    `last` is the likeliest at the step before. A token is heard with the first step that is its own, and no later step
    takes it back.
    """
    before = np.concatenate([[last], ids[:-1]])
    steps = np.flatnonzero((ids != before) & (ids != BLANK))
    return [Heard(int(step), int(ids[step])) for step in steps]
