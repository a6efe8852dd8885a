"""How a model reads its input: the whole in one step, or chunk by chunk where its manifest says that it streams."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

import numpy as np

from service.bundle.manifest import UNITS, Manifest
from service.bundle.rules import ragged
from service.sessions import Reading
from service.sessions.reading import ragged_contexts
from service.step import Array, Arrays, Result, Step
from service.tasks.jobs import Program
from service.tasks.look import Look

MAX_CHUNK = 64
"""Inputs in one step of a model that streams: nobody's long text keeps the others waiting for longer."""


class Read(NamedTuple):
    """What came of reading on."""

    reading: Reading
    outputs: tuple[Arrays, ...]
    """Of each step, those with an entry for every input."""


class Reads(Protocol):
    """What reads input, step by step."""

    @property
    def graph(self) -> str:
        """The name of the graph that it reads with."""
        ...

    def read(self, inputs: Array, reading: Reading, look: Look | None = None) -> Program[Read]:
        """The reading after these inputs."""
        ...


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads input with one graph of a model."""

    graph: str
    input: str
    """The name of the graph's input."""
    chunk: int | None
    """Most inputs in one step; None: all of them, since the model reads both ways."""
    contexts: Mapping[str, int]
    """Context → the axis along which its pieces are joined."""
    by_input: frozenset[str]
    """Outputs with an entry for every input: said once, and not kept."""
    plain: tuple[str, ...] | None = None
    """All outputs but traces; None: all outputs."""

    @classmethod
    def of(cls, manifest: Manifest, graph: str, given: str = "tokens") -> Self:
        """The reader of a model by the name of the graph and of its input."""
        spec = manifest.graphs[graph]
        outputs = [t for t in spec.outputs if t.role == "output" and t.name not in spec.traces]
        by_input = frozenset(tensor.name for tensor in outputs if ragged(tensor))
        plain = tuple(tensor.name for tensor in outputs) if spec.traces else None
        chunk = MAX_CHUNK if manifest.streams else None
        return cls(graph, given, chunk, ragged_contexts(spec), by_input, plain)

    def read(
        self, inputs: Sequence[int] | Array, reading: Reading, look: Look | None = None
    ) -> Program[Read]:
        """The reading after these inputs, `[time, …]`; with a look inside, `outputs` hold its traces, too."""
        said: list[Arrays] = []
        kept = self.by_input.union(look.outputs) if look else self.by_input
        for chunk in self._chunks(inputs):
            (result,) = yield (self._step(chunk, reading, look),)
            if kept:
                said.append({name: result.outputs[name].copy() for name in kept})
                result = _without(result, kept)
            reading = reading.then(result, len(chunk))
        return Read(reading, tuple(said))

    def _step(self, chunk: Array, reading: Reading, look: Look | None) -> Step:
        inputs = {self.input: chunk}
        if look is None:
            return Step(self.graph, inputs, reading.state, wanted=self.plain)
        assert self.plain is not None  # a look is made for a graph with traces
        inputs[UNITS] = np.array(look.width, np.int64)
        return Step(self.graph, inputs, reading.state, wanted=(*self.plain, *look.outputs))

    def _chunks(self, inputs: Sequence[int] | Array) -> list[Array]:
        array = inputs if isinstance(inputs, np.ndarray) else np.asarray(inputs, dtype=np.int64)
        size = self.chunk or max(1, len(array))
        return [array[start : start + size] for start in range(0, len(array), size)]


def _without(result: Result, names: Collection[str]) -> Result:
    """The result without what was said to each input."""
    outputs = {name: array for name, array in result.outputs.items() if name not in names}
    return Result(outputs, result.state, result.context)
