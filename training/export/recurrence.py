"""A recurrent stack over a whole chunk of input, in nodes: one `Scan` for each layer, both directions in it.

    tokens of a row      a b c d . .      `.` padding
    forward              → → → → x x      what comes after the row's end bears on nothing before it
    backward             ← ← ← ← 0 0      the mask holds the state at zero until the row begins

Everything inside is time first. The product of the inputs is taken once for all positions before the scan, so that only
the recurrent product is left in the loop. Outputs at a row's padding mean nothing: whoever reads them masks them, and
what the state was at a row's end is gathered there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from training.export.arithmetic import Arithmetic
from training.export.cells import CELLS, Cell
from training.export.graph import ELEMENTS, Graph, Value
from training.export.norm import Norm
from training.export.scan import Loop, Way
from training.export.signal import Signal
from training.modules.cells import STATES, RecurrentStack
from training.modules.depth import DeepStack


@dataclass(frozen=True)
class Run:
    """What a stack gives."""

    outputs: Signal
    """Of the last layer, directions side by side [..., directions * hidden]; of a chunk: [time, batch, ·]."""
    top: Signal
    """h of the last layer after each row's last position, nothing added to it: [batch, directions * hidden]."""
    state: list[list[Value]]
    """Each layer's state after that, as it came in; none where the stack reads both ways."""
    trails: "Sequence[tuple[Trail, ...]]" = ()
    """Of a chunk: by layer, what the cell of each direction did."""


@dataclass(frozen=True)
class Trail:
    """What one cell did over a chunk."""

    cell: Cell
    given: Sequence[Value]
    """[time, batch, ·] each."""
    first: Value
    """What h was before the chunk, as it is carried: [batch, hidden]."""
    emitted: Sequence[Value]
    """h as it is carried, and what else is known of every position: [time, batch, hidden] each."""


@dataclass(frozen=True)
class Walked:
    """What one layer gives."""

    outputs: Signal
    """h at every position."""
    top: Signal
    """h at each row's last position."""
    trails: tuple[Trail, ...]
    after: list[Value] = field(default_factory=list)
    """Its state after that; none where it reads both ways."""


@dataclass(frozen=True)
class Rows:
    """Where the rows of a padded batch end."""

    real: Value
    """True at real positions: [time, batch, 1]."""
    last: Value
    """Where each row's last position is in a [time, batch, …]: [batch, 2]."""

    @classmethod
    def of(cls, graph: Graph, tokens: Value, lengths: Value) -> "Rows":
        """For `tokens` [time, batch] and `lengths` [batch]."""
        time, batch = (_count(graph, tokens, axis) for axis in (0, 1))
        column = graph.op("Unsqueeze", time, graph.constant([1, 2], np.int64))
        real = graph.op("Less", column, graph.op("Unsqueeze", lengths, graph.constant([0, 2], np.int64)))
        last = graph.op("Sub", lengths, graph.constant(1, np.int64))
        pair = (graph.op("Unsqueeze", each, graph.constant([1], np.int64)) for each in (last, batch))
        return cls(real, graph.op("Concat", *pair, axis=1))

    def at_end(self, graph: Graph, x: Value) -> Value:
        """`x` [time, batch, ·] at each row's last position: [batch, ·]."""
        return graph.op("GatherND", x, self.last)


@dataclass(frozen=True)
class Layer:
    """A layer's cells, one for each direction, and what is around them."""

    cells: list[Cell]
    norm: Norm | None = None
    """Of what goes in."""
    residual: bool = False
    """Whether what goes in is added to what comes out."""


class Stack:
    """The layers of one recurrent module."""

    def __init__(self, kind: str, module: RecurrentStack) -> None:
        self.hidden = module.hidden_size
        self.num_states = STATES[kind]
        self.directions = 2 if module.bidirectional else 1
        self.layers = _layers(kind, module)

    @property
    def size(self) -> int:
        """Size of the outputs."""
        return self.hidden * self.directions

    def scan(
        self,
        graph: Graph,
        numbers: Arithmetic,
        x: Signal,
        rows: Rows,
        state: Sequence[Sequence[Value]] | None,
    ) -> Run:
        """`x` [time, batch, in]; a one-way stack's `state` by layer, else zeros."""
        top, final = x, []
        trails: list[tuple[Trail, ...]] = []
        for number, layer in enumerate(self.layers):
            given = self._given(graph, numbers, layer, x)
            if state:
                walked = self._one_way(graph, numbers, layer.cells[0], given[0], rows, state[number])
                final.append(walked.after)
            else:
                walked = self._two_ways(graph, numbers, layer.cells, given, rows)
            top = walked.top
            trails.append(walked.trails)
            x = _added(graph, numbers, layer, x, walked.outputs)
        return Run(x, top, final, trails)

    def step(self, graph: Graph, numbers: Arithmetic, x: Signal, state: Sequence[Sequence[Value]]) -> Run:
        """`x` [batch, in] and the state by layer, through every layer once.

        Rows of h are measured, since a state may come from outside; it gives back half of the BLEU that int8 loses.
        """
        top, final = x, []
        for layer, start in zip(self.layers, state, strict=True):
            (cell,), (given,) = layer.cells, self._given(graph, numbers, layer, x)
            before = numbers.factor(graph, start[0]) if cell.has_product else None
            hidden, kept = cell.step(graph, numbers, given, before, cell.kept(start))
            final.append(cell.state(hidden, kept))
            top = Signal(numbers, floats=hidden)
            x = _added(graph, numbers, layer, x, top)
        return Run(x, top, final)

    def _given(self, graph: Graph, numbers: Arithmetic, layer: Layer, x: Signal) -> list[list[Value]]:
        """What each cell of a layer makes of its inputs."""
        if layer.norm:
            x = Signal(numbers, floats=layer.norm.of(graph, x.floats(graph)))
        return [cell.given(graph, numbers, x.factor(graph)) for cell in layer.cells]

    def _one_way(
        self,
        graph: Graph,
        numbers: Arithmetic,
        cell: Cell,
        given: Sequence[Value],
        rows: Rows,
        start: Sequence[Value],
    ) -> Walked:
        carried = cell.kept(start)
        if cell.has_product:
            carried = [numbers.bounded(graph, start[0]).value, *carried]
        loop = Loop(graph, numbers, self.hidden)
        loop.add(Way(cell, carried, given, num_emitted=len(carried)))
        emitted, _ = loop.run()[0]
        outputs = _signal(numbers, cell, emitted[0])
        top = outputs.moved(lambda hidden: rows.at_end(graph, hidden))
        kept = emitted[1:] if cell.has_product else emitted
        after = [rows.at_end(graph, tensor) for tensor in kept]
        trail = Trail(cell, given, carried[0], emitted)
        return Walked(outputs, top, (trail,), cell.state(top.floats(graph), after))

    def _two_ways(
        self,
        graph: Graph,
        numbers: Arithmetic,
        cells: Sequence[Cell],
        given: Sequence[Sequence[Value]],
        rows: Rows,
    ) -> Walked:
        loop = Loop(graph, numbers, self.hidden)
        zeros = self._zeros(graph, rows)
        factor = [numbers.bounded(graph, zeros).value] * cells[0].has_product
        mask = graph.op("Cast", rows.real, to=ELEMENTS["float32"])
        start = [*factor, *[zeros] * cells[0].num_kept]
        for cell, now, held in zip(cells, given, (None, mask), strict=True):
            loop.add(Way(cell, start, now, held))
        ((forward,), _), ((backward,), (first, *_)) = loop.run()
        there, back, at_first = (_signal(numbers, cells[0], each) for each in (forward, backward, first))
        tops = there.moved(lambda hidden: rows.at_end(graph, hidden)), at_first
        trails = (
            Trail(cell, now, start[0], [emitted])
            for cell, now, emitted in zip(cells, given, (forward, backward), strict=True)
        )
        return Walked(Signal.joined(graph, (there, back)), Signal.joined(graph, tops), tuple(trails))

    def _zeros(self, graph: Graph, rows: Rows) -> Value:
        """[batch, hidden]."""
        batch = graph.op("Shape", rows.last, start=0, end=1)
        shape = graph.op("Concat", batch, graph.constant([self.hidden], np.int64), axis=0)
        return graph.op("Expand", graph.constant([[0.0]], np.float32), shape)


def _layers(kind: str, module: RecurrentStack) -> list[Layer]:
    ways = ["", "_reverse"][: 2 if module.bidirectional else 1]

    def cells(layers: nn.Module, number: int) -> list[Cell]:
        return [CELLS[kind](layers, f"l{number}{way}") for way in ways]

    if not isinstance(module, DeepStack):
        return [Layer(cells(module, number)) for number in range(module.num_layers)]
    norms = [Norm(norm) for norm in module.norms] if module.norms else [None] * module.num_layers
    parts = zip(module.layers, norms, module.residual, strict=True)
    return [Layer(cells(layer, 0), norm, residual) for layer, norm, residual in parts]


def _signal(numbers: Arithmetic, cell: Cell, hidden: Value) -> Signal:
    """h as a cell carries it."""
    if cell.has_product:
        return Signal(numbers, factor=numbers.held(hidden))
    return Signal(numbers, floats=hidden)


def _added(graph: Graph, numbers: Arithmetic, layer: Layer, x: Signal, outputs: Signal) -> Signal:
    if not layer.residual:
        return outputs
    return Signal(numbers, floats=graph.op("Add", x.floats(graph), outputs.floats(graph)))


def _count(graph: Graph, x: Value, axis: int) -> Value:
    """0, 1, … along an axis."""
    size = graph.op("Squeeze", graph.op("Shape", x, start=axis, end=axis + 1), graph.constant([0], np.int64))
    return graph.op("Range", graph.constant(0, np.int64), size, graph.constant(1, np.int64))
