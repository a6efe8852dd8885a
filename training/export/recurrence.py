"""A recurrent stack over a whole chunk of input, in nodes: one `Scan` for each layer, both directions in it.

    tokens of a row      a b c d . .      `.` padding
    forward              → → → → x x      what comes after the row's end bears on nothing before it
    backward             ← ← ← ← 0 0      the mask holds the state at zero until the row begins

Everything inside is time first. The product of the inputs is taken once for all positions before the scan, so that only
the recurrent product is left in the loop. Outputs at a row's padding mean nothing: whoever reads them masks them, and
what the state was at a row's end is gathered there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from torch import nn

from training.export.arithmetic import Arithmetic, Factor
from training.export.cells import CELLS, Cell
from training.export.graph import ELEMENTS, Graph, Value
from training.modules.cells import STATES


@dataclass(frozen=True)
class Run:
    """What a stack gives."""

    outputs: Factor
    """h of the last layer, directions side by side [..., directions * hidden]; of a chunk: [time, batch, ·]."""
    top: Factor
    """The same after each row's last position: [batch, directions * hidden]."""
    state: list[list[Value]]
    """Each layer's state after that, as it came in; none where the stack reads both ways."""


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


class Stack:
    """The layers of one recurrent module."""

    def __init__(self, kind: str, module: nn.RNNBase) -> None:
        self.hidden = module.hidden_size
        self.num_states = STATES[kind]
        self.directions = 2 if module.bidirectional else 1
        ways = ["", "_reverse"][: self.directions]
        self.layers: list[list[Cell]] = [
            [CELLS[kind](module, f"l{layer}{way}") for way in ways] for layer in range(module.num_layers)
        ]

    @property
    def size(self) -> int:
        """Size of the outputs."""
        return self.hidden * self.directions

    def scan(
        self,
        graph: Graph,
        numbers: Arithmetic,
        x: Factor,
        rows: Rows,
        state: Sequence[Sequence[Value]] | None,
    ) -> Run:
        """`x` [time, batch, in]; a one-way stack's `state` by layer, else zeros."""
        top, final = x, []
        for number, cells in enumerate(self.layers):
            given = [numbers.linear(graph, x, cell.inputs) for cell in cells]
            if state:
                x, top, after = self._one_way(graph, numbers, cells[0], given, rows, state[number])
                final.append(after)
            else:
                x, top = self._two_ways(graph, numbers, cells, given, rows)
        return Run(x, top, final)

    def step(self, graph: Graph, numbers: Arithmetic, x: Factor, state: Sequence[Sequence[Value]]) -> Run:
        """`x` [batch, in] and the state by layer, through every layer once.

        Rows of h are measured, since a state may come from outside; it gives back half of the BLEU that int8 loses.
        """
        final = []
        for (cell,), start in zip(self.layers, state, strict=True):
            given = numbers.linear(graph, x, cell.inputs)
            before = numbers.factor(graph, start[0])
            hidden, kept = cell.step(graph, numbers, given, before, cell.kept(start))
            final.append(cell.state(hidden, kept))
            x = numbers.factor(graph, hidden)
        return Run(x, x, final)

    def _one_way(
        self,
        graph: Graph,
        numbers: Arithmetic,
        cell: Cell,
        given: Sequence[Value],
        rows: Rows,
        start: Sequence[Value],
    ) -> tuple[Factor, Factor, list[Value]]:
        """Outputs, top and state of a layer."""
        loop = Loop(graph, numbers, self.hidden)
        carried = [numbers.bounded(graph, start[0]).value, *cell.kept(start)]
        loop.add(Way(cell, carried, given[0], num_emitted=len(carried)))
        (outputs, *kept), _ = loop.run()[0]
        top = numbers.held(rows.at_end(graph, outputs))
        after = cell.state(numbers.floats(graph, top), [rows.at_end(graph, tensor) for tensor in kept])
        return numbers.held(outputs), top, after

    def _two_ways(
        self, graph: Graph, numbers: Arithmetic, cells: Sequence[Cell], given: Sequence[Value], rows: Rows
    ) -> tuple[Factor, Factor]:
        """Outputs and top of a layer."""
        loop = Loop(graph, numbers, self.hidden)
        zeros = self._zeros(graph, rows)
        factor = numbers.bounded(graph, zeros).value
        mask = graph.op("Cast", rows.real, to=ELEMENTS["float32"])
        for cell, now, held in zip(cells, given, (None, mask), strict=True):
            loop.add(Way(cell, [factor, *[zeros] * cell.num_kept], now, held))
        ((forward,), _), ((backward,), (first, *_)) = loop.run()
        tops = rows.at_end(graph, forward), first
        outputs = graph.op("Concat", forward, backward, axis=-1)
        return numbers.held(outputs), numbers.held(graph.op("Concat", *tops, axis=-1))

    def _zeros(self, graph: Graph, rows: Rows) -> Value:
        """[batch, hidden]."""
        batch = graph.op("Shape", rows.last, start=0, end=1)
        shape = graph.op("Concat", batch, graph.constant([self.hidden], np.int64), axis=0)
        return graph.op("Expand", graph.constant([[0.0]], np.float32), shape)


class Loop:
    """One `Scan`. Each way in it is a sequence of its own: its steps carry the factor of h and what the cell keeps."""

    def __init__(self, graph: Graph, numbers: Arithmetic, hidden: int) -> None:
        self._graph, self._numbers, self._hidden = graph, numbers, hidden
        self._ways: list[Way] = []

    def add(self, way: "Way") -> None:
        """One more; the first runs forward, the next backward."""
        self._ways.append(way)

    def run(self) -> list[tuple[list[Value], list[Value]]]:
        """For each way what it emitted [time, batch, ·], the factor of h first, and what it carried at the end."""
        body, ways = self._graph.body("scan"), self._ways
        before = [self._carried(body, way) for way in ways]
        now = [
            [body.input(body.fresh("now"), "float32", ["batch", "size"]) for _ in way.scanned] for way in ways
        ]
        after = [way.step(body, self._numbers, *each) for way, *each in zip(ways, before, now, strict=True)]
        emitted = [tensors[: way.num_emitted] for way, tensors in zip(ways, after, strict=True)]
        for tensors in (*after, *emitted):
            self._declare(body, tensors)
        found = iter(
            self._graph.split(
                "Scan",
                *(value for way in ways for value in way.start),
                *(value for way in ways for value in way.scanned),
                outputs=sum(map(len, (*after, *emitted))),
                body=body.proto(),
                num_scan_inputs=sum(len(way.scanned) for way in ways),
                scan_input_directions=[back for back, way in enumerate(ways) for _ in way.scanned],
                scan_output_directions=[back for back, tensors in enumerate(emitted) for _ in tensors],
            )
        )
        last = [list(islice(found, len(tensors))) for tensors in after]
        return [
            (list(islice(found, len(tensors))), ends) for tensors, ends in zip(emitted, last, strict=True)
        ]

    def _carried(self, body: Graph, way: "Way") -> list[Value]:
        dtypes = [self._numbers.element, *["float32"] * way.cell.num_kept]
        return [body.input(body.fresh("before"), dtype, ["batch", self._hidden]) for dtype in dtypes]

    def _declare(self, body: Graph, tensors: Sequence[Value]) -> None:
        dtypes = [self._numbers.element, *["float32"] * (len(tensors) - 1)]
        for tensor, dtype in zip(tensors, dtypes, strict=True):
            body.output(tensor, body.fresh("after"), dtype, ["batch", self._hidden])


@dataclass(frozen=True)
class Way:
    """One direction of a layer."""

    cell: Cell
    start: Sequence[Value]
    """What its first step is given."""
    given: Value
    """The product of its inputs: [time, batch, gates * hidden]."""
    mask: Value | None = None
    """Where it is 0 the state is zero: [time, batch, 1]."""
    num_emitted: int = 1
    """How many of the tensors that it carries are wanted at every position."""

    @property
    def scanned(self) -> list[Value]:
        return [self.given] if self.mask is None else [self.given, self.mask]

    def step(
        self, body: Graph, numbers: Arithmetic, before: Sequence[Value], now: Sequence[Value]
    ) -> list[Value]:
        """What is carried to the next step."""
        mask = now[1] if self.mask else None
        hidden, kept = self.cell.step(body, numbers, now[0], numbers.held(before[0]), before[1:], mask)
        return [numbers.bounded(body, hidden).value, *kept]


def _count(graph: Graph, x: Value, axis: int) -> Value:
    """0, 1, … along an axis."""
    size = graph.op("Squeeze", graph.op("Shape", x, start=axis, end=axis + 1), graph.constant([0], np.int64))
    return graph.op("Range", graph.constant(0, np.int64), size, graph.constant(1, np.int64))
