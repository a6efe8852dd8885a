"""Text to tokens and back, whole or as it arrives: one copy for training and serving, whatever the kind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, Self

from service.errors import InvalidInput

PAD, BOS, EOS, UNK = 0, 1, 2, 3
SPECIALS = ("<pad>", "<s>", "</s>", "<unk>")


class Tokenizer(ABC):
    """Tokens of a text; the first four are special, and stand in no text."""

    goes_on = False
    """Whether its texts go on from others, so that nothing is taken from their beginnings."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of tokens."""

    @abstractmethod
    def to_json(self) -> str:
        """The text of its `tokenizer.json`."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Tokens without special ones; unknown characters become UNK."""

    @abstractmethod
    def spans(self, text: str) -> list["Span"]:
        """Where each token of `encode` comes from."""

    @abstractmethod
    def feeder(self, state: Mapping[str, Any] | None = None) -> "Feeder":
        """An encoder that takes text in pieces: a new one, or the one that `state` was taken from."""

    @abstractmethod
    def _piece(self, token: int) -> str:
        """What a token of the vocabulary writes."""

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """`encode` of each text."""
        return [self.encode(text) for text in texts]

    def decode(self, ids: list[int]) -> str:
        """Text of the tokens; special ones have none."""
        stream = self.text_stream()
        return "".join(map(stream.push, ids))

    def piece(self, token: int) -> str:
        """What a token writes, its leading space included; raises InvalidInput outside the vocabulary."""
        if not 0 <= token < self.size:
            raise InvalidInput(f"token {token} is outside the vocabulary of {self.size}")
        return self._piece(token)

    def first(self, piece: str) -> str:
        """What a piece writes at the beginning of a text."""
        return piece

    def word(self, word: str) -> str:
        """What a word would write that is not in the vocabulary."""
        return word

    def text_stream(self, started: bool = False) -> "TextStream":
        """A decoder that takes one token at a time; a started one goes on with a text."""
        return TextStream(self, started or self.goes_on)


class Feeder(Protocol):
    """Tokens of text that arrives in pieces, the same however it is cut."""

    def feed(self, text: str) -> list[int]:
        """Tokens that this piece completes."""
        ...

    def finish(self) -> list[int]:
        """Tokens of what was held back; the feeder is then empty again."""
        ...

    def state(self) -> dict[str, Any]:
        """Plain JSON values from which `Tokenizer.feeder` goes on; `pending` is the text that is held back."""
        ...


class Span(NamedTuple):
    """Where a token stands in its text, in characters, and in which of its words."""

    start: int
    end: int
    word: int


class TextStream:
    """Text of tokens as they come: what `push` returned so far is always `decode` of what was pushed."""

    def __init__(self, tokenizer: Tokenizer, started: bool = False) -> None:
        self._tokenizer = tokenizer
        self._started = started

    def push(self, token: int) -> str:
        """The text that this token adds."""
        piece = self._tokenizer.piece(token)
        if self._started or not piece:
            return piece
        self._started = True
        return self._tokenizer.first(piece)

    def peek(self, token: int) -> str:
        """What `push` would return."""
        return TextStream(self._tokenizer, self._started).push(token)

    def push_word(self, word: str) -> str:
        """The text that a word adds which is not in the vocabulary."""
        started, self._started = self._started, True
        piece = self._tokenizer.word(word)
        return piece if started else self._tokenizer.first(piece)

    def state(self) -> dict[str, Any]:
        """Plain JSON values from which `from_state` goes on."""
        return {"started": self._started}

    @classmethod
    def from_state(cls, tokenizer: Tokenizer, state: dict[str, Any]) -> Self:
        """The stream that `state` was taken from."""
        return cls(tokenizer, bool(state["started"]))


def valid(text: str) -> str:
    """The text itself; raises InvalidInput when it cannot be written as UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"text holds a lone surrogate at character {error.start}; expected Unicode text"
        ) from None
    return text
