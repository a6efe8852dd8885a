"""Graphs run on tensors as their callers name them: rows that stand alone, or the next piece of a session."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from service.bundle import Bundle
from service.bundle.manifest import GraphSpec, Manifest, TensorSpec
from service.bundle.rules import ragged
from service.errors import InvalidInput, NotPossible
from service.registry import Served
from service.sessions import NOTHING_READ, Reading, Session
from service.sessions.reading import ragged_contexts
from service.step import NOTHING, Array, Arrays, Step, Wanted
from service.tasks.jobs import Program, run, run_all

MAX_SIZE = 4096
"""The largest output that a request may ask for by a tensor of the role `size`."""
IDS = {"tokens", "token"}
"""Inputs that hold ids of the vocabulary, where a model has one."""


@dataclass(frozen=True, slots=True)
class TensorGraph:
    """One graph of a model, and how its inputs and outputs are given as whole tensors, `[rows, …]`."""

    name: str
    spec: GraphSpec
    max_length: int
    """Longest ragged axis of an input."""
    vocabulary: int | None = None
    wanted: Wanted = None
    """Names of the outputs that are answered; None: all."""

    @classmethod
    def of(cls, bundle: Bundle, graph: str, wanted: Wanted = None) -> Self:
        """A graph of a model by its name; what goes on inside it is answered only where it is wanted."""
        manifest, spec = bundle.manifest, bundle.manifest.graphs[graph]
        if wanted is None and spec.traces:
            wanted = tuple(t.name for t in answers_of(spec))
        limit, vocabulary = manifest.limits.max_input_tokens, bundle.vocabulary_size or None
        return cls(graph, spec, limit, vocabulary, wanted)

    @property
    def outputs(self) -> list[str]:
        """Names of what it can answer."""
        return [t.name for t in answers_of(self.spec)]

    def rows(self, tensors: Mapping[str, Array]) -> list[Arrays]:
        """Cut into rows, each to its own length where lengths are given; InvalidInput where something does not fit."""
        self._check_names(tensors)
        num = len(next(iter(tensors.values())))
        inputs = {
            t.name: self._fitted(t, tensors[t.name], num) for t in self.spec.inputs if t.role == "input"
        }
        own = self._lengths(tensors, num)
        self._check_axes(inputs, own)
        sizes = {t.name: _sizes(t, tensors.get(t.name), num) for t in self.spec.inputs if t.role == "size"}
        cuts = {
            t.name: [own.get(axis) if isinstance(axis, str) else None for axis in t.axes[1:]]
            for t in self.spec.inputs
        }
        return [
            {name: _cut(array[row], cuts[name], row) for name, array in inputs.items()}
            | {name: size[row] for name, size in sizes.items()}
            for row in range(num)
        ]

    def program(self, inputs: Arrays, reading: Reading) -> Program[Reading]:
        """One row, from where the session stands, in as many steps as the graph wants."""
        contexts, said = _context_of(reading, self.spec), []
        for piece in self.pieces(inputs):
            [result] = yield (Step(self.name, piece, reading.state, contexts, self.wanted),)
            reading = reading.then(result, self.length(piece))
            said.append(reading.outputs)
        return replace(reading, outputs=self.merged(said))

    def pieces(self, inputs: Arrays) -> Iterator[Arrays]:
        """The row, cut where the graph takes only so much at once."""
        chunk, length = self.spec.chunk, self.length(inputs)
        if chunk is None or length <= chunk:
            yield inputs
            return
        at = {t.name: _ragged_at(t) for t in self.spec.inputs if t.role == "input"}
        for start in range(0, length, chunk):
            piece = slice(start, start + chunk)
            yield {name: _sliced(array, at.get(name), piece) for name, array in inputs.items()}

    def merged(self, said: Sequence[Arrays]) -> Arrays:
        """The outputs of pieces as those of the whole: joined where each input has an entry, else the last."""
        if len(said) == 1:
            return said[0]
        at = {t.name: _ragged_at(t) for t in self.spec.outputs}
        return {
            name: array if (axis := at[name]) is None else np.concatenate([each[name] for each in said], axis)
            for name, array in said[-1].items()
        }

    def length(self, inputs: Arrays) -> int:
        """How many inputs a row consumes: its length along the first ragged axis; 1 where there is none."""
        lengths = (
            inputs[t.name].shape[at]
            for t in self.spec.inputs
            if t.role == "input" and (at := _ragged_at(t)) is not None
        )
        return next(lengths, 1)

    def check_contexts(self, reading: Reading) -> None:
        """NotPossible where the graph looks at something that was not made yet, or where that would grow too long."""
        made = reading.pieces[-1] if reading.pieces else NOTHING
        for tensor in self.spec.inputs:
            if tensor.role == "context" and tensor.name not in made:
                raise NotPossible(
                    f"this needs {tensor.name!r}, which an earlier request of the same sequence makes"
                )

    def _check_names(self, names: Collection[str]) -> None:
        needed = [t.name for t in self.spec.inputs if t.role == "input"]
        optional = [t.name for t in optional_inputs(self.spec)]
        if not set(needed) <= set(names) <= {*needed, *optional}:
            takes = ", ".join([*needed, *(f"[{name}]" for name in optional)])
            raise InvalidInput(f"expected the inputs {takes}, not {', '.join(names)}", field="inputs")

    def _fitted(self, spec: TensorSpec, array: Array, num: int) -> Array:
        """The tensor with the axes of the manifest; one column more is taken where there would be none."""
        if len(spec.axes) == 1 and array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        field = f"inputs.{spec.name}"
        if array.dtype != np.dtype(spec.dtype):
            raise InvalidInput(f"{spec.name} is {array.dtype}; expected {spec.dtype}", field=field)
        fits = array.ndim == len(spec.axes) and all(
            isinstance(axis, str) or size == axis for size, axis in zip(array.shape, spec.axes, strict=False)
        )
        if not fits or len(array) != num:
            expected = ", ".join(map(str, (num, *spec.axes[1:])))
            raise InvalidInput(
                f"{spec.name} has the shape {list(array.shape)}; expected [{expected}]", field=field
            )
        self._check_ids(spec, array)
        return array

    def _check_ids(self, spec: TensorSpec, array: Array) -> None:
        if self.vocabulary is None or spec.name not in IDS or not array.size:
            return
        if array.min() < 0 or array.max() >= self.vocabulary:
            raise InvalidInput(
                f"{spec.name} holds ids of the vocabulary, 0 to {self.vocabulary - 1}",
                field=f"inputs.{spec.name}",
            )

    def _lengths(self, tensors: Mapping[str, Array], num: int) -> dict[str, list[int]]:
        """Ragged axis → each row's own length, where the request brings lengths."""
        own = {}
        for spec in self.spec.inputs:
            if spec.role == "lengths" and spec.name in tensors:
                own[str(spec.of)] = _integers(spec.name, tensors[spec.name], num)
        return own

    def _check_axes(self, inputs: Arrays, own: Mapping[str, Sequence[int]]) -> None:
        """One length for each ragged axis, within the limit, and no row longer than its tensor."""
        found: dict[str, int] = {}
        for spec in self.spec.inputs:
            if spec.role == "input":
                for axis, size in zip(spec.axes, inputs[spec.name].shape, strict=True):
                    if axis != "batch" and isinstance(axis, str) and found.setdefault(axis, size) != size:
                        raise InvalidInput(
                            f"{spec.name} has {size} along {axis}, another input {found[axis]}",
                            field="inputs",
                        )
        for axis, size in found.items():
            if not 1 <= size <= self.max_length:
                raise InvalidInput(
                    f"a tensor has {size:,} along {axis}; expected 1 to {self.max_length:,}", field="inputs"
                )
            if any(not 1 <= length <= size for length in own.get(axis, ())):
                raise InvalidInput(f"lengths along {axis} must be 1 to {size}", field="inputs")


def answers_of(spec: GraphSpec) -> list[TensorSpec]:
    """Outputs that are for callers, and no traces of what went on inside."""
    return [t for t in spec.outputs if t.role == "output" and t.name not in spec.traces]


def optional_inputs(spec: GraphSpec) -> Iterator[TensorSpec]:
    """Inputs that a caller may leave out: lengths of what it brings (else all of it), and sizes (else 1)."""
    brought = {axis for t in spec.inputs if t.role == "input" for axis in ragged(t)}
    for tensor in spec.inputs:
        if tensor.role == "size" or (tensor.role == "lengths" and tensor.of in brought):
            yield tensor


async def run_rows(served: Served, graph: TensorGraph, rows: Sequence[Arrays]) -> list[Reading]:
    """Each row from the beginning; all or none."""
    graph.check_contexts(NOTHING_READ)
    return await run_all(served.scheduler, [graph.program(row, NOTHING_READ) for row in rows])


async def run_next(session: Session, graph: TensorGraph, row: Arrays) -> Reading:
    """One row from where the session stands, which is there from then on. It is no turn: nothing goes back to it."""
    standing = session.standing
    reading = _joined(standing.reading, session.served.manifest)
    if not any(t.role == "state" for t in graph.spec.inputs) and _contexts(graph.spec):
        reading = NOTHING_READ  # a graph that reads the whole at once begins anew
    graph.check_contexts(reading)
    _check_room(graph, reading, row)
    reading = await run(session.served.scheduler, graph.program(row, reading))
    consumed = graph.length(row)
    session.move(
        replace(standing, reading=reading, input_position=standing.input_position + consumed), consumed
    )
    return reading


def keeps_something(manifest: Manifest) -> bool:
    """Whether one request of a sequence can matter to the next."""
    return any(t.role in ("state", "context") for g in manifest.graphs.values() for t in g.outputs)


def stacked(readings: Sequence[Reading]) -> dict[str, Array]:
    """The outputs of several rows as tensors `[rows, …]`, shorter rows filled up with zeros."""
    return {name: _stack([reading.outputs[name] for reading in readings]) for name in readings[0].outputs}


def _context_of(reading: Reading, spec: GraphSpec) -> Arrays:
    wanted = {t.name for t in spec.inputs if t.role == "context"}
    return (
        {name: array for name, array in reading.pieces[-1].items() if name in wanted} if wanted else NOTHING
    )


def _contexts(spec: GraphSpec) -> bool:
    return any(t.role == "context" for t in spec.outputs)


def _joined(reading: Reading, manifest: Manifest) -> Reading:
    """The same reading, its contexts in one piece: joined once, not at every step that looks at them."""
    if len(reading.pieces) < 2:
        return reading
    axes: dict[str, int] = {}
    for spec in manifest.graphs.values():
        axes |= ragged_contexts(spec)
    return replace(reading, pieces=(reading.context(axes),))


def _check_room(graph: TensorGraph, reading: Reading, row: Arrays) -> None:
    """What is looked at again and again has a limit, however many pieces it comes in."""
    axes = ragged_contexts(graph.spec)
    if not axes or not reading.pieces:
        return
    total = max(reading.pieces[-1][name].shape[axis] for name, axis in axes.items()) + graph.length(row)
    if total > graph.max_length:
        raise InvalidInput(
            f"the sequence would have {total:,} inputs with this; the model reads at most {graph.max_length:,}",
            field="inputs",
        )


def _ragged_at(spec: TensorSpec) -> int | None:
    """Where a row of the tensor has its (first) ragged axis."""
    return next((at for at, axis in enumerate(spec.axes[1:]) if isinstance(axis, str)), None)


def _sliced(array: Array, at: int | None, piece: slice) -> Array:
    return array if at is None else array[(*(slice(None),) * at, piece)]


def _sizes(spec: TensorSpec, array: Array | None, num: int) -> list[Array]:
    sizes = [1] * num if array is None else _integers(spec.name, array, num)
    if any(not 1 <= size <= MAX_SIZE for size in sizes):
        raise InvalidInput(f"{spec.name} must be 1 to {MAX_SIZE}", field=f"inputs.{spec.name}")
    return [np.array(size, np.int64) for size in sizes]


def _integers(name: str, array: Array, num: int) -> list[int]:
    """One whole number for each row, from `[rows]` or `[rows, 1]`."""
    if array.dtype != np.int64 or array.size != num:
        raise InvalidInput(f"{name} must be int64, one for each row", field=f"inputs.{name}")
    return [int(each) for each in array.reshape(num)]


def _cut(array: Array, lengths: Sequence[Sequence[int] | None], row: int) -> Array:
    if all(each is None for each in lengths):
        return array
    return array[tuple(slice(None) if each is None else slice(each[row]) for each in lengths)]


def _stack(rows: Sequence[Array]) -> Array:
    if len({row.shape for row in rows}) == 1:
        return np.stack(rows)
    stacked = np.zeros((len(rows), *np.max([row.shape for row in rows], axis=0)), rows[0].dtype)
    for target, row in zip(stacked, rows, strict=True):
        target[tuple(map(slice, row.shape))] = row
    return stacked
