"""Summaries by leaving words out (Filippova et al. 2015): of whole texts, and word by word while a text comes in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from service.bundle.deletion import kept_by, kept_text
from service.bundle.rules import DELETION
from service.bundle.transitions import label_probabilities
from service.errors import InvalidInput
from service.registry import Served
from service.sessions import Reading
from service.sessions.session import Pending
from service.step import Arrays
from service.tasks.intake import Taken
from service.tasks.said import Said, TaggedWord
from service.tasks.tag import Tagger, read_all
from service.tasks.texts import CutText
from service.tasks.words import scores_of


class KeptWord(NamedTuple):
    """A word, whether it stays, and how probable that is."""

    word: str
    kept: bool
    probability: float


@dataclass(frozen=True, slots=True)
class Shortening:
    """A text without some of its words."""

    text: str
    words: tuple[KeptWord, ...]
    num_source_tokens: int


class Deleter(Tagger):
    """Says of each word, once it is whole, whether it stays (`keep`) or falls (`drop`)."""

    def say(
        self, taken: Taken, outputs: Sequence[Arrays], reading: Reading, pending: Pending | None
    ) -> tuple[Said, Pending | None]:
        words, ends = taken.notes
        if not words:
            return Said(), pending
        keep, kept = _kept(self.served, ends, outputs)
        said = (
            TaggedWord(word.text, DELETION[is_kept], p if is_kept else 1 - p, word.start, word.end)
            for word, p, is_kept in zip(words, keep, kept, strict=True)
        )
        return Said(words=tuple(said)), pending


async def shorten(
    served: Served, texts: Sequence[CutText], max_ratio: float | None = None
) -> list[Shortening]:
    """Shorter texts in their order; all or none. `max_ratio` is as `ratio_of` gives it."""
    read = await read_all(served, texts)
    return [
        _shortening(served, text, each.outputs, max_ratio) for text, each in zip(texts, read, strict=True)
    ]


def ratio_of(given: float, field: str = "max_ratio") -> float | None:
    """The largest share of words to keep; None for 0, which leaves it to the model."""
    if not 0 <= given <= 1:  # NaN is between nothing
        raise InvalidInput(
            f"{field} must be above 0 to 1, or 0 for what the model finds, not {given:g}", field=field
        )
    return given or None


def _shortening(
    served: Served, text: CutText, outputs: Sequence[Arrays], max_ratio: float | None
) -> Shortening:
    keep, kept = _kept(served, text.ends, outputs, max_ratio)
    words = zip(text.words, kept, keep, strict=True)
    return Shortening(
        kept_text(text.text, text.words, kept),
        tuple(KeptWord(word.text, is_kept, probability) for word, is_kept, probability in words),
        len(text.tokens),
    )


def _kept(
    served: Served, ends: Sequence[int], outputs: Sequence[Arrays], max_ratio: float | None = None
) -> tuple[list[float], list[bool]]:
    """Of each word: how probable it is that it stays, and whether it does."""
    of_labels = label_probabilities(scores_of(ends, outputs), served.bundle.transitions)
    probabilities = of_labels[:, DELETION.index("keep")].tolist()
    return probabilities, kept_by(probabilities, served.manifest.keep_above, max_ratio)
