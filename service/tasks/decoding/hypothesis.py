"""What a search finds, as tokens."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np

from service.sessions.plain import Plain
from service.step import Array, Arrays


class Finish(Enum):
    """Why an output ended."""

    END = "end"
    """The model ended the sentence."""
    LENGTH = "length"
    """max_length was reached."""


class ScoredToken(NamedTuple):
    """A token and its natural log-probability given what came before it."""

    id: int
    log_prob: float


class Found(NamedTuple):
    """One whole output: its tokens without the end of the sentence, whose log-probability is in the score."""

    tokens: tuple[ScoredToken, ...]
    score: float
    finish: Finish


def normalized(log_prob: float, num_steps: int, length_penalty: float) -> float:
    """log P(Y|X) / ((5 + |Y|) / 6)^α, where |Y| counts the end of the sentence (Wu et al. 2016, §7)."""
    return float(log_prob / ((5 + num_steps) / 6) ** length_penalty)


def tokens_to_plain(prefix: str, tokens: Sequence[ScoredToken]) -> Arrays:
    """Tokens as two arrays."""
    ids, log_probs = zip(*tokens, strict=True) if tokens else ((), ())
    return {
        f"{prefix}/ids": np.array(ids, np.int64),
        f"{prefix}/log_probs": np.array(log_probs, np.float64),
    }


def tokens_from_plain(prefix: str, arrays: Arrays) -> tuple[ScoredToken, ...]:
    """The tokens that `tokens_to_plain` made arrays of, bit for bit."""
    pairs = zip(arrays[f"{prefix}/ids"].tolist(), arrays[f"{prefix}/log_probs"].tolist(), strict=True)
    return tuple(ScoredToken(*pair) for pair in pairs)


def found_to_plain(prefix: str, found: Found) -> Arrays:
    """An output as arrays; why it ended is 1 for the end of the sentence."""
    end = np.array([found.score, found.finish is Finish.END], np.float64)
    return {**tokens_to_plain(prefix, found.tokens), f"{prefix}/end": end}


def found_from_plain(prefix: str, arrays: Arrays) -> Found:
    """The output that `found_to_plain` made arrays of."""
    score, is_end = arrays[f"{prefix}/end"].tolist()
    return Found(tokens_from_plain(prefix, arrays), score, Finish.END if is_end else Finish.LENGTH)


def all_to_plain(found: Sequence[Found] | None) -> dict[str, Array]:
    """What a search found, if it is over."""
    arrays: dict[str, Array] = {}
    for index, each in enumerate(found or ()):
        arrays |= found_to_plain(f"found/{index}", each)
    return arrays


def all_from_plain(plain: Plain) -> list[Found] | None:
    """What `all_to_plain` wrote down; the fact `found` says how many there are."""
    return [found_from_plain(f"found/{index}", plain.arrays) for index in range(plain.facts["found"])] or None
