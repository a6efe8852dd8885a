"""Classification of whole texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.registry import Served
from service.sessions import NOTHING_READ, Reading
from service.tasks.jobs import run_all
from service.tasks.reader import Reader


@dataclass(frozen=True, slots=True)
class LabelScore:
    """A label and its probability."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Classification:
    """The labels of one text, most probable first."""

    labels: tuple[LabelScore, ...]
    num_tokens: int


async def classify(
    served: Served, texts: Sequence[Sequence[int]], num_labels: int | None = None
) -> list[Classification]:
    """Labels in the order of the texts, which come as tokens; all or none. `num_labels` keeps the best so many."""
    reader = Reader.of(served.manifest)
    readings = await run_all(served.scheduler, [reader.read(text, NOTHING_READ) for text in texts])
    return [
        Classification(labels_of(served, reading)[:num_labels], reading.num_tokens) for reading in readings
    ]


def labels_of(served: Served, reading: Reading) -> tuple[LabelScore, ...]:
    """All labels after what was read, most probable first (equal ones as the model has them); at first none."""
    if not reading.outputs:
        return ()
    probabilities = np.exp(reading.outputs["log_probs"].astype(np.float64))
    order = np.argsort(-probabilities, kind="stable")
    return tuple(LabelScore(served.bundle.labels[i], float(probabilities[i])) for i in order)
