"""What stands between white space, word by word: for models that count the words they read."""

import asyncio
import re
from collections.abc import Sequence

import numpy as np

from service.bundle import Bundle
from service.bundle.subwords import WHITESPACE
from service.config import LimitSettings
from service.errors import InvalidInput
from service.sessions.session import Pending
from service.tasks.intake import Given, Taken, not_taken
from service.tasks.texts import cleaned_text, is_long

_GAP = re.compile(f"[{WHITESPACE}]+")
PENDING = "pending"


class WholeWordIntake:
    """Text, of which the last word is held back until white space follows it.

    The notes of what was taken say after how many of its tokens each word ends. What else a session holds back, it
    hands on.
    """

    def __init__(self, bundle: Bundle, limits: LimitSettings, pending: Pending | None) -> None:
        self._tokenizer, self._limits = bundle.tokenizer, limits
        self._kept = dict(pending or {})
        self._kept.setdefault(PENDING, "")

    async def take(self, given: Given, ends: bool) -> Taken:
        """Text only: token ids do not say where words end."""
        if given is not None and not isinstance(given, str):
            raise not_taken(given, "text, whose words it counts")
        text = cleaned_text(given or "", self._limits, "feed.text")
        take = self._take
        return await asyncio.to_thread(take, text, ends) if is_long([text]) else take(text, ends)

    def finish(self) -> Taken:
        return self._take("", True)

    def pending(self) -> Pending:
        return dict(self._kept)

    def _take(self, text: str, ends: bool) -> Taken:
        *words, rest = _GAP.split(self._kept[PENDING] + text)
        if ends:
            words, rest = [*words, rest], ""
        if len(rest) > self._limits.max_text_bytes:
            raise InvalidInput(
                "a word without end: white space is missing in what was fed", field="feed.text"
            )
        self._kept[PENDING] = rest
        return self._taken([word for word in words if word])

    def _taken(self, words: Sequence[str]) -> Taken:
        tokens: list[int] = []
        ends: list[int] = []
        for found in self._tokenizer.encode_batch(list(words)):
            if found:
                tokens += found
                ends.append(len(tokens))
        return Taken(np.array(tokens, np.int64), tuple(ends))
