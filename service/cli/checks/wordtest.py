"""Tries a model that labels words: each token stands for a word."""

from collections.abc import Sequence

from service.bundle.words import Word
from service.registry import Served
from service.tasks.classify import Classification
from service.tasks.said import LabelScore
from service.tasks.tag import tag
from service.tasks.texts import CutText


async def word_labels(served: Served, texts: Sequence[Sequence[int]]) -> list[Classification]:
    """The labels of each text's tokens with their probabilities."""
    cut = [CutText("", [Word("", 0, 0)] * len(text), list(text), list(range(len(text)))) for text in texts]
    return [
        Classification(
            tuple(LabelScore(word.label, word.probability) for word in tagging.words), tagging.num_tokens
        )
        for tagging in await tag(served, cut)
    ]
