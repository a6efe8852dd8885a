"""Text to subwords and back, whole or as it arrives: one copy for training and for serving."""

import json
import re
from pathlib import Path
from typing import Any, Self

from tokenizers import Tokenizer as Pipeline

from service.errors import InvalidInput

PAD, BOS, EOS, UNK = 0, 1, 2, 3
SPECIALS = ("<pad>", "<s>", "</s>", "<unk>")
SPACE = "▁"
"""Stands for the space before a word."""
WHITESPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000" + SPACE
"""What separates words, as the inside of a regular expression's brackets."""

_LAST_GAP = re.compile(f"[{WHITESPACE}](?=[^{WHITESPACE}]*$)")


class Tokenizer:
    """Subwords of a text. Words never share a subword, so a text's subwords are those of its words in turn."""

    def __init__(self, pipeline: Pipeline) -> None:
        pipeline.encode_special_tokens = True  # "<s>" written by a user is text, not a command
        self._pipeline = pipeline
        self._pieces = [_piece(pipeline, token) for token in range(pipeline.get_vocab_size())]

    @classmethod
    def from_file(cls, path: Path | str) -> Self:
        """Reads `tokenizer.json`."""
        return cls.from_json(Path(path).read_text("utf-8"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Takes the text of a `tokenizer.json`; raises InvalidInput when it is not one."""
        try:
            pipeline = Pipeline.from_str(text)
        except Exception as error:  # the library raises nothing narrower
            raise InvalidInput(f"not a tokenizer: {error}") from error
        specials = tuple(pipeline.id_to_token(token) for token in range(len(SPECIALS)))
        if specials != SPECIALS:
            raise InvalidInput(f"a tokenizer's first subwords must be {SPECIALS}, not {specials}")
        return cls(pipeline)

    @property
    def size(self) -> int:
        """Number of subwords."""
        return len(self._pieces)

    def to_json(self) -> str:
        """The text of its `tokenizer.json`."""
        return str(json.dumps(json.loads(self._pipeline.to_str()), ensure_ascii=False, indent=1)) + "\n"

    def encode(self, text: str) -> list[int]:
        """Subwords without special ones; unknown characters become UNK."""
        return list(self._pipeline.encode(valid(text), add_special_tokens=False).ids)

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """`encode` of each text."""
        found = self._pipeline.encode_batch([valid(text) for text in texts], add_special_tokens=False)
        return [list(encoding.ids) for encoding in found]

    def decode(self, ids: list[int]) -> str:
        """Text of the subwords; special ones have none."""
        stream = self.text_stream()
        return "".join(map(stream.push, ids))

    def piece(self, token: int) -> str:
        """What a subword writes, its leading space included; raises InvalidInput outside the vocabulary."""
        if not 0 <= token < self.size:
            raise InvalidInput(f"subword {token} is outside the vocabulary of {self.size}")
        return self._pieces[token]

    def text_stream(self) -> "TextStream":
        """A decoder that takes one subword at a time."""
        return TextStream(self)

    def feeder(self) -> "TextFeeder":
        """An encoder that takes text in pieces."""
        return TextFeeder(self)


class TextStream:
    """Text of subwords as they come: what `push` returned so far is always `decode` of what was pushed."""

    def __init__(self, tokenizer: Tokenizer, started: bool = False) -> None:
        self._tokenizer = tokenizer
        self._started = started

    def push(self, token: int) -> str:
        """The text that this subword adds."""
        piece = self._tokenizer.piece(token)
        if self._started or not piece:
            return piece
        self._started = True
        return piece.removeprefix(" ")

    def state(self) -> dict[str, Any]:
        """Plain JSON values from which `from_state` goes on."""
        return {"started": self._started}

    @classmethod
    def from_state(cls, tokenizer: Tokenizer, state: dict[str, Any]) -> Self:
        """The stream that `state` was taken from."""
        return cls(tokenizer, bool(state["started"]))


class TextFeeder:
    """Subwords of text that arrives in pieces, the same however it is cut.

    A word is held back until the whitespace after it, or `finish`, shows that it is whole.
    """

    def __init__(self, tokenizer: Tokenizer, pending: str = "") -> None:
        self._tokenizer = tokenizer
        self._pending = pending

    def feed(self, text: str) -> list[int]:
        """Subwords of the words that this piece completes."""
        text = self._pending + valid(text)
        gap = _LAST_GAP.search(text)
        if gap is None:
            self._pending = text
            return []
        self._pending = text[gap.end() :]
        return self._tokenizer.encode(text[: gap.start()])

    def finish(self) -> list[int]:
        """Subwords of the word held back; the feeder is then empty again."""
        text, self._pending = self._pending, ""
        return self._tokenizer.encode(text)

    def state(self) -> dict[str, Any]:
        """Plain JSON values from which `from_state` goes on."""
        return {"pending": self._pending}

    @classmethod
    def from_state(cls, tokenizer: Tokenizer, state: dict[str, Any]) -> Self:
        """The feeder that `state` was taken from."""
        return cls(tokenizer, str(state["pending"]))


def valid(text: str) -> str:
    """The text itself; raises InvalidInput when it cannot be written as UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"text holds a lone surrogate at character {error.start}; expected Unicode text"
        ) from None
    return text


def _piece(pipeline: Pipeline, token: int) -> str:
    return "" if token < len(SPECIALS) else str(pipeline.id_to_token(token)).replace(SPACE, " ")
