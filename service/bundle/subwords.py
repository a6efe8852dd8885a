"""Subwords: a text's white space becomes single spaces, its words become one or several tokens each."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from tokenizers import Tokenizer as Pipeline

from service.bundle.tokenizer import SPECIALS, Span, Tokenizer, valid
from service.errors import InvalidInput

SPACE = "▁"
"""Stands for the space before a word."""
WHITESPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000" + SPACE
"""What separates words, as the inside of a regular expression's brackets."""

UNUSUAL = "a \U0010ffff\u2581\u0301<unk>"
"""A text that only a tokenizer with an unknown token can read."""

PANIC = "PanicException"

_LAST_GAP = re.compile(f"[{WHITESPACE}](?=[^{WHITESPACE}]*$)")


class Subwords(Tokenizer):
    """Words never share a subword, so a text's subwords are those of its words in turn."""

    def __init__(self, pipeline: Pipeline) -> None:
        pipeline.encode_special_tokens = True  # "<s>" written by a user is text, not a command
        self._pipeline = pipeline
        self._pieces = [_text_of(pipeline, token) for token in range(pipeline.get_vocab_size())]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Takes the text of a `tokenizer.json`; raises InvalidInput when it is not one."""
        with _refusing("not a tokenizer"):
            pipeline = Pipeline.from_str(text)
        with _refusing("a tokenizer needs a token for what it does not know"):
            pipeline.encode(UNUSUAL, add_special_tokens=False)
        if set(pipeline.get_vocab().values()) != set(range(pipeline.get_vocab_size())):
            raise InvalidInput("a tokenizer's tokens are numbered from 0 on, each once")
        specials = tuple(pipeline.id_to_token(token) for token in range(len(SPECIALS)))
        if specials != SPECIALS:
            raise InvalidInput(f"a tokenizer's first subwords must be {SPECIALS}, not {specials}")
        return cls(pipeline)

    @property
    def size(self) -> int:
        return len(self._pieces)

    def to_json(self) -> str:
        return str(json.dumps(json.loads(self._pipeline.to_str()), ensure_ascii=False, indent=1)) + "\n"

    def encode(self, text: str) -> list[int]:
        return list(self._pipeline.encode(_spaced(text), add_special_tokens=False).ids)

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        found = self._pipeline.encode_batch([_spaced(text) for text in texts], add_special_tokens=False)
        return [list(encoding.ids) for encoding in found]

    def spans(self, text: str) -> list[Span]:
        encoding = self._pipeline.encode(_spaced(text), add_special_tokens=False)
        return [
            Span(start, end, -1 if word is None else word)
            for (start, end), word in zip(encoding.offsets, encoding.word_ids, strict=True)
        ]

    def word(self, word: str) -> str:
        return f" {word}"

    def feeder(self, state: Mapping[str, Any] | None = None) -> "SubwordFeeder":
        return SubwordFeeder(self, str(state["pending"]) if state else "")

    def first(self, piece: str) -> str:
        return piece.removeprefix(" ")

    def _piece(self, token: int) -> str:
        return self._pieces[token]


class SubwordFeeder:
    """A word is held back until the whitespace after it, or `finish`, shows that it is whole."""

    def __init__(self, tokenizer: Subwords, pending: str = "") -> None:
        self._tokenizer = tokenizer
        self._pending = pending

    def feed(self, text: str) -> list[int]:
        text = self._pending + valid(text)
        gap = _LAST_GAP.search(text)
        if gap is None:
            self._pending = text
            return []
        self._pending = text[gap.end() :]
        return self._tokenizer.encode(text[: gap.start()])

    def finish(self) -> list[int]:
        text, self._pending = self._pending, ""
        return self._tokenizer.encode(text)

    def state(self) -> dict[str, Any]:
        return {"pending": self._pending}


@contextmanager
def _refusing(words: str) -> Iterator[None]:
    """Raise what the library raises as InvalidInput: exceptions, and panics, which are none and have no class."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != PANIC:
            raise
        raise InvalidInput(f"{words}: {error}") from error


def _spaced(text: str) -> str:
    """White space as all pipelines know it: `SPACE` separates words whoever wrote it, and some take it for a letter."""
    return valid(text).replace(SPACE, " ")


def _text_of(pipeline: Pipeline, token: int) -> str:
    return "" if token < len(SPECIALS) else str(pipeline.id_to_token(token)).replace(SPACE, " ")
