"""How well a language model foretells a text, from the log-probability of each of its tokens."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from service.bundle.tokenizer import EOS


class Surprise(NamedTuple):
    """Sums over texts."""

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


def surprise(texts: Sequence[str], scores: Sequence[Scored]) -> Surprise:
    """Of whole texts."""
    return Surprise(
        -sum(log_prob for scored in scores for _, log_prob in scored),
        sum(map(len, scores)),
        sum(map(len, texts)),
    )


def surprise_of_replies(dialogues: Sequence[Sequence[str]], scores: Sequence[Scored]) -> Surprise:
    """Of every other turn, with its end, in dialogues that the user begins."""
    replies: list[list[tuple[int, float]]] = []
    for scored in scores:
        turns: list[list[tuple[int, float]]] = [[]]
        for token, log_prob in scored:
            turns[-1].append((token, log_prob))
            if token == EOS:
                turns.append([])
        replies += turns[1::2]
    return surprise([turn for turns in dialogues for turn in turns[1::2]], [one for one in replies if one])
