"""What a search finds, as tokens."""

from enum import Enum
from typing import NamedTuple


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
