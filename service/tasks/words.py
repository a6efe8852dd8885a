"""Words as they become whole, and what a model says of each."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from service.bundle import Bundle
from service.bundle.transitions import best_labels, label_probabilities
from service.bundle.words import Word, WordFeeder, subwords_of
from service.config import LimitSettings
from service.errors import InvalidInput
from service.sessions.session import Pending
from service.step import Array, Arrays
from service.tasks.intake import Given, Taken, not_taken
from service.tasks.said import TaggedWord
from service.tasks.texts import cleaned_text, is_long


class Cutting(NamedTuple):
    """Words, and for each of them where its last token stands among those taken with it."""

    words: Sequence[Word]
    ends: Sequence[int]


class WordIntake:
    """Text, of which what follows the last white space is held back until more follows; its words are noted."""

    def __init__(self, bundle: Bundle, limits: LimitSettings, pending: Pending | None) -> None:
        self._tokenizer = bundle.tokenizer
        self._limits = limits
        cut = bundle.manifest.words
        self._feeder = WordFeeder.from_state(cut, dict(pending)) if pending else WordFeeder(cut)

    async def take(self, given: Given, ends: bool) -> Taken:
        """Text only: token ids do not say where words end."""
        if given is not None and not isinstance(given, str):
            raise not_taken(given, "text, whose words it labels")
        words = await self._fed(given or "")
        return self._taken([*words, *self._feeder.finish()] if ends else words)

    def finish(self) -> Taken:
        return self._taken(self._feeder.finish())

    def pending(self) -> Pending:
        return self._feeder.state()

    async def _fed(self, text: str) -> list[Word]:
        text = cleaned_text(text, self._limits, "feed.text")
        feed = self._feeder.feed
        words = await asyncio.to_thread(feed, text) if is_long([text]) else feed(text)
        if self._feeder.num_pending > self._limits.max_text_bytes:
            raise InvalidInput(
                "a word without end: white space is missing in what was fed", field="feed.text"
            )
        return words

    def _taken(self, words: Sequence[Word]) -> Taken:
        tokens, ends = subwords_of(self._tokenizer, [word.text for word in words])
        return Taken(np.array(tokens, np.int64), Cutting(words, ends))


def tagged(
    bundle: Bundle, words: Sequence[Word], ends: Sequence[int], outputs: Sequence[Arrays]
) -> tuple[TaggedWord, ...]:
    """Each word with its label and how probable that is."""
    if not words:
        return ()
    scores = scores_of(ends, outputs)
    best, rows = best_labels(scores, bundle.transitions), label_probabilities(scores, bundle.transitions)
    return tuple(
        TaggedWord(word.text, bundle.labels[label], float(row[label]), word.start, word.end)
        for word, label, row in zip(words, best, rows, strict=True)
    )


def scores_of(ends: Sequence[int], outputs: Sequence[Arrays]) -> Array:
    """What the steps over a text said at each word's last token: [words, labels]."""
    return np.concatenate([each["log_probs"] for each in outputs])[list(ends)]
