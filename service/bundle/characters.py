"""Characters: every code point of a text is a token of its own, white space and line ends too."""

import json
from collections.abc import Mapping
from typing import Any, Self

from service.bundle.tokenizer import SPECIALS, UNK, Span, Tokenizer, valid
from service.errors import InvalidInput

KIND = "characters"


class Characters(Tokenizer):
    """The characters of `alphabet` in that order, after the special tokens."""

    def __init__(self, alphabet: str, lowercase: bool = False) -> None:
        if len(set(alphabet)) < len(alphabet):
            raise InvalidInput("not a tokenizer: a character stands twice in its alphabet")
        self._alphabet, self._lowercase = valid(alphabet), lowercase
        self._pieces = [""] * len(SPECIALS) + list(alphabet)
        self._ids = {piece: token for token, piece in enumerate(self._pieces) if piece}

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Takes the text of a `tokenizer.json`; raises InvalidInput when it is not one of characters."""
        try:
            tree = json.loads(text)
            alphabet, lowercase = tree["alphabet"], tree.get("lowercase", False)
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"not a tokenizer of characters: {error!r}") from error
        if not isinstance(alphabet, str) or not isinstance(lowercase, bool):
            raise InvalidInput("not a tokenizer of characters: expected `alphabet`, a string")
        return cls(alphabet, lowercase)

    @property
    def size(self) -> int:
        return len(self._pieces)

    def to_json(self) -> str:
        tree = {"kind": KIND, "alphabet": self._alphabet, "lowercase": self._lowercase}
        return json.dumps(tree, ensure_ascii=False, indent=1) + "\n"

    def encode(self, text: str) -> list[int]:
        if self._lowercase:  # one by one: what a letter becomes must not depend on where the text is cut
            text = "".join(map(str.lower, text))
        return [self._ids.get(character, UNK) for character in valid(text)]

    def spans(self, text: str) -> list[Span]:
        lowered = map(str.lower, text) if self._lowercase else text
        return [Span(at, at + 1, at) for at, character in enumerate(lowered) for _ in character]

    def feeder(self, state: Mapping[str, Any] | None = None) -> "CharacterFeeder":
        return CharacterFeeder(self)

    def _piece(self, token: int) -> str:
        return self._pieces[token]


class CharacterFeeder:
    """Holds nothing back: a character is whole when it comes."""

    def __init__(self, tokenizer: Characters) -> None:
        self._tokenizer = tokenizer

    def feed(self, text: str) -> list[int]:
        return self._tokenizer.encode(text)

    def finish(self) -> list[int]:
        return []

    def state(self) -> dict[str, Any]:
        return {"pending": ""}
