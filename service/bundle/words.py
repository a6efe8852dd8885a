"""The words of a text, where each of them gets a label: one copy for training and for serving.

What stands between white space is cut further; it is whole only when white space follows, so it is cut the same however
it came:

    marks    U.S.-based, don't       U . S . - based , don't       every mark alone, but for an apostrophe inside a word
    edges    U.S.-based, don't       U.S.-based , don't            marks inside belong to their word, too
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Self

from service.bundle.subwords import WHITESPACE
from service.bundle.tokenizer import UNK, Tokenizer, valid

Cut = Literal["marks", "edges"]


class Word(NamedTuple):
    """A word, and where it stands: characters from `start` up to `end`."""

    text: str
    start: int
    end: int


class _Shapes(dict[int, str]):
    """What each character is: white space, an apostrophe, a mark that joins (-), another mark, or of a word (a)."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if re.match(f"[{WHITESPACE}]", character):
            shape = " "
        elif character in "'’":
            shape = "'"
        elif character in "-.,:/&@":
            shape = "-"
        else:
            shape = "." if unicodedata.category(character)[0] in "PS" else "a"
        self[code] = shape
        return shape


_SHAPES = _Shapes()
_WORDS: dict[Cut, re.Pattern[str]] = {
    "marks": re.compile(r"a+(?:'a+)*|[^ ]"),
    "edges": re.compile(r"a+(?:['-]a+)*|[^ ]"),
}


def words_of(text: str, cut: Cut, start: int = 0) -> list[Word]:
    """The words in turn; the text's first character is number `start`."""
    found = _WORDS[cut].finditer(text.translate(_SHAPES))
    return [Word(text[m.start() : m.end()], start + m.start(), start + m.end()) for m in found]


def subwords_of(tokenizer: Tokenizer, words: Sequence[str]) -> tuple[list[int], list[int]]:
    """The subwords of all words in turn, as with a space before each; and for each word where its last one stands."""
    ids: list[int] = []
    ends: list[int] = []
    for found in tokenizer.encode_batch(list(words)):
        ids += found or [UNK]
        ends.append(len(ids) - 1)
    return ids, ends


class WordFeeder:
    """Words of a text that arrives in pieces, the same however it is cut.

    What follows the last white space is held back until more white space, or `finish`, shows that it is whole.
    """

    def __init__(self, cut: Cut, pending: str = "", position: int = 0) -> None:
        self._cut = cut
        self._pending = pending
        self._position = position
        """How many characters came before what is held back."""

    def feed(self, text: str) -> list[Word]:
        """The words that this piece completes."""
        text = self._pending + valid(text)
        whole = text.translate(_SHAPES).rfind(" ") + 1
        return self._take(text[:whole], text[whole:])

    def finish(self) -> list[Word]:
        """What was held back, as words."""
        return self._take(self._pending, "")

    @property
    def num_pending(self) -> int:
        """Characters held back."""
        return len(self._pending)

    def state(self) -> dict[str, Any]:
        """Plain JSON values from which `from_state` goes on."""
        return {"pending": self._pending, "position": self._position}

    @classmethod
    def from_state(cls, cut: Cut, state: dict[str, Any]) -> Self:
        """The feeder that `state` was taken from."""
        return cls(cut, str(state["pending"]), int(state["position"]))

    def _take(self, whole: str, rest: str) -> list[Word]:
        words = words_of(whole, self._cut, self._position)
        self._position += len(whole)
        self._pending = rest
        return words
