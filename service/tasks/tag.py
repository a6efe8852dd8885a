"""Labels for words: of whole texts, and of a text that is still coming in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from service.bundle.spans import spans_of
from service.config import LimitSettings
from service.registry import Served
from service.sessions import NOTHING_READ, Reading
from service.sessions.session import Pending
from service.step import Arrays
from service.tasks.intake import Taken
from service.tasks.jobs import run_all
from service.tasks.reader import Read, Reader
from service.tasks.said import LabelScore, Said, TaggedWord, label_scores
from service.tasks.texts import CutText
from service.tasks.words import WordIntake, tagged


class Span(NamedTuple):
    """Neighbouring words that belong together: characters from `start` up to `end`."""

    label: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Tagging:
    """What is said of one text."""

    words: tuple[TaggedWord, ...]
    spans: tuple[Span, ...]
    labels: tuple[LabelScore, ...]
    """Of the whole text, most probable first; none from a model that labels words only."""
    num_tokens: int


class Tagger:
    """Answers each feed with the words that it completed, and with the labels of the text so far where it has some."""

    max_inputs = None

    def __init__(self, served: Served, limits: LimitSettings) -> None:
        self.served = served
        self.reader = tag_reader(served)
        self._limits = limits

    def intake(self, pending: Pending | None) -> WordIntake:
        return WordIntake(self.served.bundle, self._limits, pending)

    def say(
        self, taken: Taken, outputs: Sequence[Arrays], reading: Reading, pending: Pending | None
    ) -> tuple[Said, Pending | None]:
        words = tagged(self.served.bundle, taken.notes.words, taken.notes.ends, outputs)
        return Said(labels=text_labels_of(self.served, reading), words=words), pending


async def tag(served: Served, texts: Sequence[CutText]) -> list[Tagging]:
    """Labels in the order of the texts; all or none."""
    read = await read_all(served, texts)
    return [_tagging(served, text, *each) for text, each in zip(texts, read, strict=True)]


async def read_all(served: Served, texts: Sequence[CutText]) -> list[Read]:
    """What the model said of the tokens of each text."""
    reader = tag_reader(served)
    return await run_all(served.scheduler, [reader.read(text.tokens, NOTHING_READ) for text in texts])


def tag_reader(served: Served) -> Reader:
    """Of every model with a graph that labels tokens."""
    return Reader.of(served.manifest, "tag")


def text_labels_of(served: Served, reading: Reading) -> tuple[LabelScore, ...]:
    """All labels of the text after what was read; at first none."""
    if "text_log_probs" not in reading.outputs:
        return ()
    return label_scores(reading.outputs["text_log_probs"], served.bundle.text_labels)


def spans_in(text: str, words: Sequence[TaggedWord]) -> tuple[Span, ...]:
    """What B- and I- labels of neighbouring words say together."""
    return tuple(
        Span(
            span.label,
            text[(start := words[span.first].start) : (end := words[span.end - 1].end)],
            start,
            end,
        )
        for span in spans_of([word.label for word in words])
    )


def _tagging(served: Served, text: CutText, reading: Reading, outputs: Sequence[Arrays]) -> Tagging:
    words = tagged(served.bundle, text.words, text.ends, outputs)
    return Tagging(words, spans_in(text.text, words), text_labels_of(served, reading), reading.num_tokens)
