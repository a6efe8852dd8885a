"""How well a language model foretells texts, from the log-probability of each of their tokens."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from service.bundle.tokenizer import EOS
from training.data.significance import Evidence


class Surprise(NamedTuple):
    """Sums over a text, or several."""

    nats: float
    num_tokens: int
    num_characters: int

    @property
    def per_token(self) -> float:
        return self.nats / self.num_tokens

    @property
    def per_character(self) -> float:
        return self.nats / self.num_characters

    @property
    def perplexity(self) -> float:
        """Per token."""
        return math.exp(self.per_token)


Scored = Sequence[tuple[int, float]]
"""Tokens with their log-probabilities."""


def surprise_of(text: str, scored: Scored) -> Surprise:
    """Of a whole text."""
    return Surprise(-sum(log_prob for _, log_prob in scored), len(scored), len(text))


def surprise_of_replies(turns: Sequence[str], scored: Scored) -> Surprise:
    """Of every other turn, with its end, of a dialogue that the user begins."""
    told: list[list[tuple[int, float]]] = [[]]
    for token, log_prob in scored:
        told[-1].append((token, log_prob))
        if token == EOS:
            told.append([])
    replies = [pair for turn in told[1::2] for pair in turn]
    return surprise_of("".join(turns[1::2]), replies)


def together(surprises: Sequence[Surprise]) -> Surprise:
    """Of several."""
    nats, num_tokens, num_characters = (sum(column) for column in zip(*surprises, strict=True))
    return Surprise(nats, round(num_tokens), round(num_characters))


def of_surprise(surprises: Sequence[Surprise], *, is_perplexity: bool) -> Evidence:
    """Nats per token, or their exponential."""
    rows = np.array([(each.nats, each.num_tokens) for each in surprises], np.float64)

    def score(sums: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
        per_token = float(sums[0] / max(sums[1], 1))
        return math.exp(per_token) if is_perplexity else per_token

    return Evidence(rows, score)
