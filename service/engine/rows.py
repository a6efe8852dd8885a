"""Steps to the tensors of one batch and back: the only place that knows how a batch is laid out.

step a  tokens 5 6 7      tokens   5 6 7 0      outputs cut back to each row's own length
step b  tokens 8          [2, 4]   8 0 0 0      (4: the longest, rounded up to `pad`)
                          lengths  3 1
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import cast

import numpy as np

from service.bundle.manifest import GraphSpec, TensorSpec
from service.bundle.rules import ragged
from service.engine.answers import Answers
from service.engine.contexts import Contexts, Row, place
from service.errors import StepFailed
from service.step import NOTHING, Array, Arrays, Result, Step, Wanted

Lengths = Mapping[str, Sequence[int]]
"""Axis → each row's own length."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A stacked batch; valid until the next one of its graph is stacked."""

    feeds: Mapping[str, Array]
    """ONNX tensor → array."""
    seats: Sequence[int]
    """Row of the batch → index of its step."""
    lengths: Lengths
    """Ragged axis → length of each row of the batch."""
    answers: Sequence[TensorSpec]
    """The outputs to be fetched."""
    wishes: Sequence[Wanted] | None
    """What each row of the batch wants, where that is not the same for all."""

    @property
    def fetched(self) -> list[str]:
        """ONNX tensors of the outputs to be fetched."""
        return [tensor.tensor for tensor in self.answers]


class Rows:
    """Stacks and splits for one graph. Rows come from values and go to values: nothing is shared with the batch."""

    def __init__(self, graph: str, spec: GraphSpec) -> None:
        self._graph = graph
        self._spec = spec
        self._sizes = [t for t in spec.inputs if t.role == "size"]
        self._context = [t for t in spec.inputs if t.role == "context"]
        self._contexts = Contexts(self._context)
        self._dtypes = {t.tensor: np.dtype(t.dtype) for t in (*spec.inputs, *spec.outputs)}
        self._initial = {t.name: _initial(t) for t in spec.inputs if t.role == "state" and not ragged(t)}
        self._fixed = {t.tensor: cast("tuple[int, ...]", t.axes[1:]) for t in spec.inputs if not ragged(t)}
        self._rulers = _rulers(spec)
        self._answers = Answers(graph, spec)
        self._cut = {t.of for t in self._sizes}
        self._optional = {str(t.of) for t in self._sizes if t.optional}

    def stack(self, steps: Sequence[Step]) -> Batch:
        """Stack; StepFailed says which tensor of a step does not fit its graph."""
        try:
            return self._stack(steps)
        except KeyError as error:
            raise StepFailed(f"graph {self._graph}: a step lacks {error}") from None
        except (AttributeError, TypeError, ValueError) as error:
            raise StepFailed(f"graph {self._graph}: a step holds what is no array: {error}") from None

    def split(self, batch: Batch, arrays: Sequence[Array]) -> list[Result]:
        """Cut the outputs, in the order of `batch.answers`, into results in the order of the steps."""
        parts: dict[str, tuple[list[str], list[list[Array]]]] = {
            r: ([], []) for r in ("output", "state", "context")
        }
        for tensor, array in zip(batch.answers, arrays, strict=True):
            names, columns = parts[tensor.role]
            names.append(tensor.name)
            columns.append(self._rows(tensor, array, batch))
        num = len(batch.seats)
        outputs, states, contexts = (_dicts(names, columns, num) for names, columns in parts.values())
        if batch.wishes is not None:
            outputs = [_only(own, wish) for own, wish in zip(outputs, batch.wishes, strict=True)]
        results = map(Result, outputs, states, contexts)
        return _unseat(results, batch.seats)

    def _stack(self, steps: Sequence[Step]) -> Batch:
        lengths = self._measure(steps)
        padded = {axis: self._padded(axis, max(lengths[axis])) for axis in self._rulers}
        seats: Sequence[int] = range(len(steps))
        feeds: dict[str, Array] = {}
        if self._context:
            seats = self._seat(steps, lengths, padded)
            steps = [steps[i] for i in seats]
            lengths = {axis: [each[i] for i in seats] for axis, each in lengths.items()}
            padded |= self._contexts.padded()
            feeds |= self._contexts.feeds()
        for tensor in self._spec.inputs:
            if tensor.role != "context":
                feeds[tensor.tensor] = self._feed(tensor, steps, lengths, padded)
        wishes = [step.wanted for step in steps]
        alike = wishes.count(wishes[0]) == len(wishes)
        return Batch(feeds, seats, lengths, self._answers.to(wishes), None if alike else wishes)

    def _measure(self, steps: Sequence[Step]) -> Lengths:
        """Read each row's own length of each ragged axis, and what it asks of each size."""
        lengths = {
            axis: [getattr(step, part)[name].shape[at] for step in steps]
            for axis, (part, name, at) in self._rulers.items()
        }
        for tensor in self._sizes:
            lengths[str(tensor.of)] = [_asked(tensor, step) for step in steps]
        for axis, each in lengths.items():
            if min(each) < 1 and axis not in self._optional:
                raise StepFailed(f"graph {self._graph}: axis {axis} of a step is empty")
        return lengths

    def _padded(self, axis: str, length: int) -> int:
        multiple = self._spec.pad.get(axis, 1)
        return -(-length // multiple) * multiple

    def _seat(self, steps: Sequence[Step], lengths: Lengths, padded: Mapping[str, int]) -> list[int]:
        columns = [[step.context[t.name] for step in steps] for t in self._context]
        for tensor, column in zip(self._context, columns, strict=True):
            self._check(tensor, column, lengths)
        rows: list[Row] = list(zip(*columns, strict=True))
        return self._contexts.seat(rows, {a: padded[a] for t in self._context for a in ragged(t)})

    def _feed(
        self, tensor: TensorSpec, steps: Sequence[Step], lengths: Lengths, padded: Mapping[str, int]
    ) -> Array:
        if tensor.role == "lengths":
            return np.array(lengths[str(tensor.of)], np.int64)
        if tensor.role == "size":
            return np.array(max(lengths[str(tensor.of)]), np.int64)
        rows = self._states(tensor, steps, lengths) if tensor.role == "state" else _inputs(tensor, steps)
        self._check(tensor, rows, lengths)
        if not ragged(tensor):
            return _stacked(rows)
        sizes = [len(rows), *(padded[a] if isinstance(a, str) else a for a in tensor.axes[1:])]
        stacked = np.zeros(sizes, tensor.dtype)
        for target, row in zip(stacked, rows, strict=True):
            place(target, row)
        return stacked

    def _states(self, tensor: TensorSpec, steps: Sequence[Step], lengths: Lengths) -> list[Array]:
        """Take the states; one that is missing starts at its initial value."""
        name = tensor.name
        if (initial := self._initial.get(name)) is not None:
            return [step.state.get(name, initial) for step in steps]
        return [
            step.state[name]
            if name in step.state
            else _initial(tensor, {a: lengths[a][row] for a in ragged(tensor)})
            for row, step in enumerate(steps)
        ]

    def _check(self, tensor: TensorSpec, rows: Sequence[Array], lengths: Lengths) -> None:
        """Refuse arrays that would be cast, or that have another shape than the manifest and their own row say."""
        dtype = self._dtypes[tensor.tensor]
        for row, shape in zip(rows, self._shapes(tensor, len(rows), lengths), strict=True):
            if row.shape != shape or row.dtype != dtype:
                raise StepFailed(
                    f"graph {self._graph}: {tensor.role} {tensor.name} of a step is {row.dtype} {row.shape}, "
                    f"not {dtype} {shape}"
                )

    def _shapes(self, tensor: TensorSpec, num: int, lengths: Lengths) -> Iterable[tuple[int, ...]]:
        """Yield the shape that each row must have."""
        if (shape := self._fixed.get(tensor.tensor)) is not None:
            return repeat(shape, num)
        columns = [lengths[a] if isinstance(a, str) else repeat(a, num) for a in tensor.axes[1:]]
        return zip(*columns, strict=True)

    def _rows(self, tensor: TensorSpec, array: Array, batch: Batch) -> list[Array]:
        """Cut one output to its rows.

        States and contexts are copied: a session keeps them for long, and a view would keep the whole batch alive
        with them. Outputs are read at once and dropped: views.
        """
        num = len(batch.seats)
        if array.ndim != len(tensor.axes) or len(array) != num:
            raise StepFailed(
                f"graph {self._graph}: answers {tensor.name} in shape {array.shape} to {num} rows"
            )
        rows = list(array)
        for at, axis in enumerate(tensor.axes[1:]):
            if isinstance(axis, str):
                rows = self._cut_back(rows, at, axis, batch.lengths[axis])
        return rows if tensor.role == "output" else [row.copy() for row in rows]

    def _cut_back(self, rows: list[Array], at: int, axis: str, lengths: Sequence[int]) -> list[Array]:
        """Cut an axis to each row's own length; a graph may answer less than a size asks, where it has no more."""
        size = rows[0].shape[at]
        if size < max(lengths) and axis not in self._cut:
            raise StepFailed(
                f"graph {self._graph}: answers {size} along axis {axis} where a row has {max(lengths)}"
            )
        if all(length == size for length in lengths):
            return rows
        before = (slice(None),) * at
        return [row[(*before, slice(length))] for row, length in zip(rows, lengths, strict=True)]


def _rulers(spec: GraphSpec) -> dict[str, tuple[str, str, int]]:
    """Ragged axis → where a step shows its length: (field of Step, name, axis of that array)."""
    rulers: dict[str, tuple[str, str, int]] = {}
    for tensor in spec.inputs:
        if tensor.role in ("input", "context"):
            part = "inputs" if tensor.role == "input" else "context"
            for at, axis in enumerate(tensor.axes[1:]):
                if isinstance(axis, str):
                    rulers.setdefault(axis, (part, tensor.name, at))
    return rulers


def _initial(tensor: TensorSpec, lengths: Mapping[str, int] | None = None) -> Array:
    shape = [(lengths or {})[a] if isinstance(a, str) else a for a in tensor.axes[1:]]
    return np.full(shape, tensor.initial, tensor.dtype)


def _asked(tensor: TensorSpec, step: Step) -> int:
    """What a step asks of a size."""
    if tensor.optional and tensor.name not in step.inputs:
        return 0
    return int(step.inputs[tensor.name])


def _inputs(tensor: TensorSpec, steps: Sequence[Step]) -> list[Array]:
    return [step.inputs[tensor.name] for step in steps]


def _stacked(rows: list[Array]) -> Array:
    """As `np.stack`, in less time: the shapes are known to be equal."""
    if rows[0].ndim == 0:
        return np.array(rows)
    return np.concatenate(rows).reshape(len(rows), *rows[0].shape)


def _dicts(names: list[str], columns: list[list[Array]], num: int) -> Sequence[Arrays]:
    if not names:
        return [NOTHING] * num
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _only(outputs: Arrays, wish: Wanted) -> Arrays:
    return outputs if wish is None else {name: outputs[name] for name in wish}


def _unseat(results: "map[Result]", seats: Sequence[int]) -> list[Result]:
    if isinstance(seats, range):
        return list(results)
    at: list[Result] = [None] * len(seats)  # type: ignore[list-item]
    for seat, result in zip(seats, results, strict=True):
        at[seat] = result
    return at
