"""How a model reads tokens: the whole text in one step, or chunk by chunk where its manifest says that it streams."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from service.bundle.manifest import Manifest
from service.sessions import Reading
from service.sessions.reading import ragged_contexts
from service.step import Step
from service.tasks.jobs import Program

MAX_CHUNK = 64
"""Tokens in one step of a model that streams: nobody's long text keeps the others waiting for longer."""

_GRAPHS = {"translate": "encode", "classify": "classify"}


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads tokens with one graph of a model."""

    graph: str
    chunk: int | None
    """Most tokens in one step; None: all of them, since the model reads both ways."""
    ragged: Mapping[str, int]
    """Context → the axis along which its pieces are joined."""

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """The reader of a model."""
        graph = _GRAPHS[manifest.task]
        return cls(graph, MAX_CHUNK if manifest.streams else None, ragged_contexts(manifest.graphs[graph]))

    def read(self, tokens: Sequence[int], reading: Reading) -> Program[Reading]:
        """The reading after these tokens."""
        for chunk in self._chunks(tokens):
            (result,) = yield (Step(self.graph, {"tokens": chunk}, reading.state),)
            reading = reading.then(result, len(chunk))
        return reading

    def _chunks(self, tokens: Sequence[int]) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
        array = np.asarray(tokens, dtype=np.int64)
        size = self.chunk or max(1, len(array))
        return [array[start : start + size] for start in range(0, len(array), size)]
