"""Classification: of whole texts, and of a text that is still coming in."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.config import LimitSettings
from service.registry import Served
from service.sessions import NOTHING_READ, Reading
from service.sessions.session import Pending
from service.step import Arrays
from service.tasks.intake import Taken, TextIntake
from service.tasks.jobs import run_all
from service.tasks.reader import Reader
from service.tasks.said import LabelScore, Said, label_scores


@dataclass(frozen=True, slots=True)
class Classification:
    """The labels of one text, most probable first."""

    labels: tuple[LabelScore, ...]
    num_tokens: int


class Classifier:
    """Answers each feed with the labels of the text so far."""

    max_inputs = None

    def __init__(self, served: Served, limits: LimitSettings) -> None:
        self.served = served
        self.reader = _reader(served)
        self._limits = limits

    def intake(self, pending: Pending | None) -> TextIntake:
        return TextIntake(self.served.bundle, self._limits, pending)

    def say(
        self, taken: Taken, outputs: Sequence[Arrays], reading: Reading, pending: Pending | None
    ) -> tuple[Said, Pending | None]:
        return Said(labels=labels_of(self.served, reading)), pending


async def classify(
    served: Served, texts: Sequence[Sequence[int]], num_labels: int | None = None
) -> list[Classification]:
    """Labels in the order of the texts, which come as tokens; all or none. `num_labels` keeps the best so many."""
    reader = _reader(served)
    read = await run_all(served.scheduler, [reader.read(text, NOTHING_READ) for text in texts])
    return [
        Classification(labels_of(served, reading)[:num_labels], reading.num_tokens) for reading, _ in read
    ]


def labels_of(served: Served, reading: Reading) -> tuple[LabelScore, ...]:
    """All labels after what was read; at first none."""
    return label_scores(reading.outputs["log_probs"], served.bundle.labels) if reading.outputs else ()


def _reader(served: Served) -> Reader:
    return Reader.of(served.manifest, "classify")
