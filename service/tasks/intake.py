"""What comes in pieces, made into what the model reads: the same, however it was cut.

What is not whole yet, such as the last word of a text, is held back; it is the session's pending part.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard

import numpy as np

from service.bundle import Bundle
from service.bundle.tokenizer import BOS, EOS, PAD, UNK
from service.config import LimitSettings
from service.errors import InvalidInput
from service.sessions.session import Pending
from service.step import Array
from service.tasks.texts import cleaned_text, is_long


class Readings(NamedTuple):
    """Feature vectors `[time, dim]`, float32."""

    values: Array


class Sound(NamedTuple):
    """Samples of one channel `[time]`, int16, so many a second (0: the model's own)."""

    samples: Array
    sample_rate: int = 0


class NamedArrays(NamedTuple):
    """Named tensors of one session."""

    arrays: dict[str, Array]


Given = str | Sequence[int] | Readings | Sound | NamedArrays | None
"""What a feed holds: text, token ids, readings, sound, tensors, or nothing (where only the end is told)."""


class Taken(NamedTuple):
    """What is whole now."""

    array: Array
    """For the model: token ids `[time]`, or features `[time, dim]`."""
    notes: Any = None
    """For the kind that made it, once the model has read it."""

    def __len__(self) -> int:
        return len(self.array)


class Intake(Protocol):
    """Takes one feed after the other."""

    async def take(self, given: Given, ends: bool) -> Taken:
        """What this completes; with `ends`, all that was held back too. InvalidInput says what was expected."""
        ...

    def finish(self) -> Taken:
        """What was held back, as it ends here."""
        ...

    def pending(self) -> Pending | None:
        """What is held back now, as JSON values."""
        ...


class TextIntake:
    """Text, of which the last word is held back until white space follows it, or token ids."""

    def __init__(self, bundle: Bundle, limits: LimitSettings, pending: Pending | None) -> None:
        self._tokenizer = bundle.tokenizer
        self._limits = limits
        self._feeder = self._tokenizer.feeder(pending)

    async def take(self, given: Given, ends: bool) -> Taken:
        tokens: list[int] = []
        if isinstance(given, str):
            tokens = await self._fed(given)
        elif is_ids(given):
            tokens = [*self._feeder.finish(), *self._known(given)]
        elif given is not None:
            raise not_taken(given, "text or token_ids")
        if ends:
            tokens += self._feeder.finish()
        return Taken(np.array(tokens, np.int64))

    def finish(self) -> Taken:
        return Taken(np.array(self._feeder.finish(), np.int64))

    def pending(self) -> Pending:
        return self._feeder.state()

    async def _fed(self, text: str) -> list[int]:
        text = cleaned_text(text, self._limits, "feed.text")
        feed = self._feeder.feed
        tokens = await asyncio.to_thread(feed, text) if is_long([text]) else feed(text)
        if len(self._feeder.state()["pending"]) > self._limits.max_text_bytes:
            raise InvalidInput(
                "a word without end: white space is missing in what was fed", field="feed.text"
            )
        return tokens

    def _known(self, ids: Sequence[int]) -> Sequence[int]:
        size = self._tokenizer.size
        for token in ids:
            if not 0 <= token < size or token in (PAD, BOS, EOS):
                raise InvalidInput(
                    f"{token} is not a token of text; expected ids from {UNK} to {size - 1}",
                    field="feed.token_ids",
                )
        return ids


def is_ids(given: Given) -> TypeGuard[Sequence[int]]:
    """Whether it is a list of token ids."""
    return isinstance(given, Sequence) and not isinstance(given, str | Readings | Sound | NamedArrays)


def not_taken(given: Given, expected: str) -> InvalidInput:
    """The error for input of a kind that the model does not read."""
    names = {Readings: "features", Sound: "pcm", NamedArrays: "tensors", str: "text"}
    name = names.get(type(given), "token_ids")
    return InvalidInput(f"this model cannot be fed {name}; it reads {expected}", field=f"feed.{name}")


def content_of(given: Given) -> Any:
    """JSON values that tell one input from another."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, Readings):
        return ["features", list(given.values.shape), _digest(given.values)]
    if isinstance(given, Sound):
        return ["pcm", given.sample_rate, _digest(given.samples)]
    if isinstance(given, NamedArrays):
        named = sorted(given.arrays.items())
        return ["tensors", [[name, str(a.dtype), list(a.shape), _digest(a)] for name, a in named]]
    return list(given)


def _digest(array: Array) -> str:
    return hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).hexdigest()
