"""Rows that stay in their batch from run to run: a row is copied when it comes, not at every step.

slot      0    1    2    3              0    1    2
before    a    b    c    d              a    e    c     b and d leave, e comes: one copy
                                        context: in place, in `Slots`; states: what the last run gave, not copied at all
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from service.bundle.manifest import GraphSpec, TensorSpec
from service.bundle.rules import ragged
from service.engine.answers import Answers
from service.engine.numbers import check_outputs
from service.engine.rows import Rows
from service.errors import StepFailed
from service.step import Array, Arrays, Step, Wanted


class Binding(Protocol):
    """A graph whose inputs are bound, so that those which stay need not be handed over again."""

    def bind(self, tensor: str, array: Array) -> None:
        """Let an input be this array from now on; it has to stay where it is."""
        ...

    def run(self, outputs: Mapping[str, Array | None]) -> list[Array]:
        """Fetch these outputs into these arrays, or into new ones where none is given; StepFailed."""
        ...


class ResidentRows:
    """See `service.engine.Resident`. Every run writes its states to new arrays, so what it gave stays as it is."""

    def __init__(self, graph: str, spec: GraphSpec, binding: Binding, *, checks_numbers: bool = True) -> None:
        self._graph = graph
        self._spec = spec
        self._checks_numbers = checks_numbers
        self._binding = binding
        self._rows = Rows(graph, spec)
        self._answers = Answers(graph, spec)
        self._contexts = [t for t in spec.inputs if t.role == "context"]
        self._states = {t.name: t for t in spec.inputs if t.role == "state"}
        self._lengths = [t for t in spec.inputs if t.role == "lengths"]
        self._sized = {str(t.of): t.name for t in spec.inputs if t.role == "size"}
        if any(map(ragged, self._states.values())):
            raise StepFailed(f"graph {graph} has states of no fixed size: its rows cannot stay in a batch")
        self._now: dict[str, Array] = {}
        """State → `[batch, …]`, as the last run or the last change left it."""
        self._slots = Slots(self._contexts)
        self._wishes: list[Wanted] = []
        self._fetched: Sequence[TensorSpec] = ()
        self._num = 0

    def __len__(self) -> int:
        return self._num

    def reseat(self, leaving: Sequence[int], joining: Sequence[Step]) -> list[int]:
        joined = self._rows.stack(joining) if joining else None
        order = seating(self._num, leaving, len(joining))
        seat_of = {index: row for row, index in enumerate(joined.seats)} if joined else {}
        rows = [slot if slot >= 0 else -1 - seat_of[-1 - slot] for slot in order]
        feeds = joined.feeds if joined else {}
        lengths = joined.lengths if joined else {}
        self._now = {
            name: _reordered(self._now.get(name), feeds.get(tensor.tensor), rows)
            for name, tensor in self._states.items()
        }
        self._slots.reseat(
            rows, {t.tensor: feeds.get(t.tensor) for t in self._contexts}, lengths, self._spec.pad
        )
        self._wishes = [self._wishes[row] if row >= 0 else joining[-1 - row].wanted for row in order]
        self._fetched = self._answers.to(self._wishes)
        self._num = len(order)
        self._bind_context()
        return order

    def run(self, inputs: Mapping[str, Array], sizes: Mapping[str, int]) -> tuple[Arrays, Arrays]:
        for tensor in self._spec.inputs:
            if tensor.role == "input":
                self._binding.bind(tensor.tensor, inputs[tensor.name])
            elif tensor.role == "size":
                size = sizes.get(tensor.name, 0) if tensor.optional else sizes[tensor.name]
                self._binding.bind(tensor.tensor, np.array(size, np.int64))
            elif tensor.role == "state":
                self._binding.bind(tensor.tensor, self._now[tensor.name])
        into = {t.tensor: self._room(t, sizes) for t in self._fetched}
        return self._told(self._binding.run(into))

    @property
    def states(self) -> Arrays:
        return self._now

    def step(self, slot: int, inputs: Arrays) -> Step:
        state = {name: array[slot] for name, array in self._now.items()}
        return Step(self._graph, inputs, state, self._slots.row(slot), self._wishes[slot])

    def _told(self, found: Sequence[Array]) -> tuple[Arrays, Arrays]:
        outputs: dict[str, Array] = {}
        states = dict(self._now)
        for tensor, array in zip(self._fetched, found, strict=True):
            if array.ndim != len(tensor.axes) or len(array) != self._num:
                raise StepFailed(
                    f"graph {self._graph}: answers {tensor.name} in shape {array.shape} to {self._num} rows"
                )
            (states if tensor.role == "state" else outputs)[tensor.name] = array
        if self._checks_numbers:
            check_outputs(self._graph, self._fetched, found)
        self._now = states
        return outputs, states

    def _room(self, tensor: TensorSpec, sizes: Mapping[str, int]) -> Array | None:
        """A new array for an output, where its shape is known beforehand."""
        shape = [sizes.get(self._sized.get(a, "")) if isinstance(a, str) else a for a in tensor.axes[1:]]
        return None if None in shape else np.empty((self._num, *shape), tensor.dtype)

    def _bind_context(self) -> None:
        for name, array in self._slots.arrays(self._num).items():
            self._binding.bind(name, array)
        for tensor in self._lengths:
            self._binding.bind(tensor.tensor, self._slots.lengths(str(tensor.of), self._num))


class Slots:
    """Contexts in slots, `[capacity, …]` each. What lies in a slot beyond its row's own length is zero."""

    def __init__(self, tensors: Sequence[TensorSpec]) -> None:
        self._tensors = tensors
        self._axes = {a for t in tensors for a in t.axes[1:] if isinstance(a, str)}
        self._buffers: dict[str, Array] = {}
        self._lengths: dict[str, list[int]] = {}
        """Ragged axis → the length of each row."""
        self._padded: dict[str, int] = {}
        self._capacity = 0

    def reseat(
        self,
        rows: Sequence[int],
        joining: Mapping[str, Array | None],
        lengths: Mapping[str, Sequence[int]],
        pad: Mapping[str, int],
    ) -> None:
        """Let the row of each slot be that of an old slot, or row -1 - i of those who join."""
        before, axes = self._buffers, self._axes
        self._lengths = {
            a: [self._lengths[a][row] if row >= 0 else lengths[a][-1 - row] for row in rows] for a in axes
        }
        longest = {a: _rounded(max(self._lengths[a], default=1), pad.get(a, 1)) for a in axes}
        stays = len(rows) <= self._capacity and all(
            size <= self._padded[a] <= 2 * size for a, size in longest.items()
        )
        if not stays:
            self._make_room(len(rows), longest)
        moves = [(slot, row) for slot, row in enumerate(rows) if row != slot or not stays]
        for tensor in self._tensors:
            name = tensor.tensor
            self._fill(self._buffers[name], moves, before.get(name), joining[name], is_new=not stays)

    def arrays(self, num: int) -> dict[str, Array]:
        """Tensor → `[num, …]`, views that stay true until the next change."""
        return {tensor: buffer[:num] for tensor, buffer in self._buffers.items()}

    def lengths(self, axis: str, num: int) -> Array:
        """The length of each row, `[num]`."""
        return np.array(self._lengths[axis][:num], np.int64)

    def row(self, slot: int) -> Arrays:
        """The contexts of one row, cut to its own lengths."""
        return {t.name: self._buffers[t.tensor][slot][self._own(t, slot)] for t in self._tensors}

    def _own(self, tensor: TensorSpec, slot: int) -> tuple[slice, ...]:
        sizes = (self._lengths[a][slot] if isinstance(a, str) else a for a in tensor.axes[1:])
        return tuple(map(slice, sizes))

    def _make_room(self, num: int, longest: Mapping[str, int]) -> None:
        self._padded, self._capacity = dict(longest), 1 << max(0, num - 1).bit_length()
        self._buffers = {
            t.tensor: np.zeros(
                [self._capacity, *(longest[a] if isinstance(a, str) else a for a in t.axes[1:])], t.dtype
            )
            for t in self._tensors
        }

    def _fill(
        self,
        target: Array,
        moves: Sequence[tuple[int, int]],
        old: Array | None,
        joining: Array | None,
        *,
        is_new: bool,
    ) -> None:
        """Copy who is not where it was; who moves within a buffer only ever moves down, from beyond the last slot."""
        for slot, row in moves:
            source = joining if row < 0 else old
            assert source is not None
            _put(target[slot], source[row if row >= 0 else -1 - row], is_clear=is_new)


def seating(num: int, leaving: Sequence[int], joining: int) -> list[int]:
    """Who sits in each slot: a slot of before, or -1 - i for the i-th who joins.

    Those who join take the places of those who leave; then the last move down into what is left of the gaps.
    """
    order = list(range(num))
    gaps, newcomers = sorted(leaving), [-1 - i for i in range(joining)]
    for gap, newcomer in zip(gaps, newcomers, strict=False):
        order[gap] = newcomer
    order += newcomers[len(gaps) :]
    # From the last gap, so that whoever moves down does not leave, too.
    for gap in reversed(gaps[len(newcomers) :]):
        last = order.pop()
        if gap < len(order):
            order[gap] = last
    return order


def _reordered(old: Array | None, joining: Array | None, rows: Sequence[int]) -> Array:
    """A new array of these rows: of the old one, or, where negative, of those who join."""
    order = np.array(rows, np.int64)
    if old is None or not len(old):
        assert joining is not None  # somebody has to be the first
        return joining.take(-1 - order, axis=0)
    new = old.take(np.maximum(order, 0), axis=0)
    if joining is not None:
        come = order < 0
        new[come] = joining[-1 - order[come]]
    return new


def _put(target: Array, array: Array, *, is_clear: bool) -> None:
    """Copy an array into the corner of a slot; what lies beyond its own length is zero in both."""
    if array.shape == target.shape:
        target[...] = array
        return
    shape = tuple(map(min, target.shape, array.shape))
    if not is_clear and shape != target.shape:
        target.fill(0)
    target[tuple(map(slice, shape))] = array[tuple(map(slice, shape))]


def _rounded(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
