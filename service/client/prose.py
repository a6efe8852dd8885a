"""Texts of several sentences, for models that were trained on one at a time: cut, and put together again."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

_WIDE = "。！？"
"""What ends a sentence in scripts that set no space after it."""
_ENDS = f".!?…؟۔।॥{_WIDE}"
_CLOSERS = "\"'”’»›“‘«‹)]}」』）"
"""What closes after an end; some languages close with what others open with."""
_BREAK = re.compile(rf"(?P<mark>[{_ENDS}][{_ENDS}{re.escape(_CLOSERS)}]*)(?P<gap>\s*)|(?P<space>\s+)")
_BEFORE_A_WORD = re.compile(rf"[^\w¿¡{_ENDS}]*")

_BEFORE_A_NAME = re.compile(
    "[Ss]r|[Ss]ra|[Ss]rta|[Ss]res|[Ss]ras|[Dd]r|[Dd]ra|[Dd]rs|[Dd]res|[Pp]rof|[Pp]rofa|Mr|Mrs|Ms|Mx|Messrs|Rev|Hon|Gov|"
    "Gen|Gral|Col|Cnel|Lt|Tte|Capt|Sgt|Sen|St|Ste|Sto|Sta|Mt|Fr|Sig|Dott|Hnos|Av|Avda|Pl|Pza|Ctra|Ph|EE|FF|RR|HH|JJ|"
    "[Vv]s|[Ee]j"
)
"""Words after whose full stop a name follows. `etc` is none: where a capital follows, it mostly was the end."""
_BEFORE_A_NUMBER = re.compile(
    "[Nn]o|[Nn]r|[Nn]úm|[Nn]um|[Nn]º|[Pp]ágs?|[Pp]ags?|[Pp]p|[Cc]ap|[Aa]rts?|[Ff]igs?|[Vv]ols?|[Tt]el|[Ee]xt|[Ss]ec|"
    "[Cc]f|[Cc]a|[Aa]prox|[Aa]pprox|Jan|Feb|Apr|Aug|Sept|Oct|Nov|Dec"
)
_HOURS_AND_METRES = "hm"
"""The small letters after which sentences end more often than not: `8 h.`, `5 p.m.`, `100 m.`"""


@dataclass(frozen=True, slots=True)
class Prose:
    """A text as its sentences and what stands around them; `joined` with its own sentences it is the text again.

    A sentence ends at . ! ? … or 。！？, and the quotes and brackets that close after it, where white space follows
    (。！？ need none) and then a word that may begin one: no small letter. It does not end after an abbreviation, an
    initial, or a number that stands alone. It ends before an empty line, whatever stands there.
    """

    sentences: tuple[str, ...]
    """None begins or ends with white space; of several, each holds a letter or, the last, a digit."""
    gaps: tuple[str, ...]
    """White space or nothing: what stands before each sentence, and after the last one."""

    @classmethod
    def of(cls, text: str) -> Self:
        body = text.strip()
        if not body:
            return cls((), (text,))
        start = text.index(body)
        inside = (start + edge for cut in _cuts(body) for edge in cut)
        edges = (0, start, *inside, start + len(body), len(text))
        pieces = tuple(text[begin:end] for begin, end in pairwise(edges))
        return cls(pieces[1::2], pieces[::2])

    @classmethod
    def whole(cls, text: str) -> Self:
        """The text as one sentence, as it stands."""
        return cls((text,), ("", ""))

    def joined(self, parts: Iterable[str]) -> str:
        """The text with these parts, such as translations, in the places of its sentences."""
        told = [part + self.after(place, part) for place, part in enumerate(parts)]
        return "".join((self.gaps[0], *told))

    def after(self, place: int, part: str) -> str:
        """What stands after the sentence of this number where `part` is in its place.

        Where nothing did, a space, unless `part` is of a script that sets none.
        """
        gap = self.gaps[place + 1]
        is_last = place + 1 == len(self.sentences)
        end = part[len(part.rstrip(_ENDS + _CLOSERS)) :]
        return gap if gap or is_last or _is_wide(end) else " "


def sentences(text: str) -> list[str]:
    """The sentences of a text, without the white space between them: `client.translate(sentences(text))`."""
    return list(Prose.of(text).sentences)


def _cuts(body: str) -> Iterator[tuple[int, int]]:
    """Where each sentence but the last ends, and where the next one begins."""
    has_letter, read = False, 0
    last = max((place for place, one in enumerate(body) if one.isalnum()), default=0)
    for found in _BREAK.finditer(body):
        has_letter = has_letter or any(map(str.isalpha, body[read : found.start()]))
        read = found.end()
        if has_letter and read <= last and _is_between(found):
            yield max(found.span("mark")[1], found.start()), read
            has_letter = False


def _is_between(found: re.Match[str]) -> bool:
    """Whether a sentence ends there and another one begins."""
    mark, gap = found["mark"], found["gap"] or found["space"] or ""
    if gap.count("\n") > 1:
        return True
    if not mark or not (gap or _is_wide(mark)):
        return False
    first = _first_of_word(found.string, found.end())
    return first != "" and not (mark == "." and _is_abbreviation(_word_before(found), first))


def _is_wide(end: str) -> bool:
    return any(wide in end for wide in _WIDE)


def _first_of_word(text: str, at: int) -> str:
    """With what the next word begins, after what opens before it; empty where that begins no sentence."""
    start = _BEFORE_A_WORD.match(text, at)
    first = text[start.end() : start.end() + 1] if start else ""
    return first if first in "¿¡" or (first.isalnum() and not first.islower()) else ""


def _word_before(found: re.Match[str]) -> str:
    start = found.start()
    while start and found.string[start - 1].isalpha():
        start -= 1
    return found.string[start : found.start()]


def _is_abbreviation(word: str, next_one: str) -> bool:
    """Whether the full stop after the word is its own, where the next word begins so."""
    if next_one in "¿¡":
        return False
    if len(word) == 1:
        return word not in _HOURS_AND_METRES and word.lower() != word.upper()
    before_a_number = next_one.isdigit() and _BEFORE_A_NUMBER.fullmatch(word)
    return bool(before_a_number or _BEFORE_A_NAME.fullmatch(word))
