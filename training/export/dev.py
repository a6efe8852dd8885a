"""Dev examples for the exporter: what goes in, what should come out, and batches of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.export.check import Array

BATCH = 64


@dataclass(frozen=True)
class Dev:
    """Inputs with their references: a sentence and its translation, a text and its label, readings and what follows."""

    inputs: Sequence[Any]
    references: Sequence[Any]

    @classmethod
    def spaced(cls, examples: Sequence[tuple[Any, Any]], limit: int) -> "Dev":
        """At most `limit` of the examples, evenly spaced."""
        chosen = examples[:: max(1, -(-len(examples) // limit))]
        return cls([given for given, _ in chosen], [wanted for _, wanted in chosen])


@dataclass(frozen=True)
class DevBatch:
    """Inputs of about one length as numbers: `rows` [batch, time] of ids, or [batch, time, dim] of features."""

    indexes: Sequence[int]
    """Which examples these are."""
    rows: Array
    lengths: Array


def batches(rows: Iterable[Array]) -> Iterator[DevBatch]:
    """All rows, [time] or [time, dim] each, shortest first; filled up with zeros."""
    arrays = list(rows)
    order = sorted(range(len(arrays)), key=lambda index: len(arrays[index]))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        lengths = np.array([len(arrays[index]) for index in chosen])
        first = arrays[chosen[0]]
        filled = np.zeros((len(chosen), lengths.max(), *first.shape[1:]), first.dtype)
        for row, index in zip(filled, chosen, strict=True):
            row[: len(arrays[index])] = arrays[index]
        yield DevBatch(chosen, filled, lengths)
