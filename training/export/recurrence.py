"""A recurrent stack over a whole chunk of input, in nodes: one `Scan` for each layer and direction.

Everything inside is time first. The product of the inputs is taken once for all positions before the scan, so that
only the recurrent product is left in the loop. A row's state stands still on its padding, which makes a row's result
the same whatever is stacked with it, and makes the way back begin at each row's own end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from training.export.arithmetic import Arithmetic
from training.export.cells import CELLS, Cell
from training.export.graph import Graph, Value
from training.modules.cells import STATES


@dataclass(frozen=True)
class Run:
    """What a stack gives: outputs [time, batch, directions * hidden] and each layer's state, as it came in."""

    outputs: Value
    state: list[list[Value]]


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
        x: Value,
        mask: Value,
        state: Sequence[Sequence[Value]] | None,
    ) -> Run:
        """`x` [time, batch, in] and `mask` [time, batch, 1]; a one-way stack's `state` by layer, else zeros."""
        final = []
        for number, cells in enumerate(self.layers):
            start = state[number] if state else [self._zeros(graph, x)] * self.num_states
            given = [numbers.linear(graph, x, cell.inputs) for cell in cells]
            ways = [
                self._scan(graph, numbers, cell, now, mask, start, back=way == 1)
                for way, (cell, now) in enumerate(zip(cells, given, strict=True))
            ]
            x = ways[0][-1] if len(ways) == 1 else graph.op("Concat", *(way[-1] for way in ways), axis=-1)
            final.append([tensor for way in ways for tensor in way[:-1]])
        return Run(x, final)

    def step(self, graph: Graph, numbers: Arithmetic, x: Value, state: Sequence[Sequence[Value]]) -> Run:
        """`x` [batch, in] and the state by layer, through every layer once."""
        final = []
        for (cell,), start in zip(self.layers, state, strict=True):
            final.append(cell.step(graph, numbers, numbers.linear(graph, x, cell.inputs), start))
            x = final[-1][0]
        return Run(x, final)

    def _scan(
        self,
        graph: Graph,
        numbers: Arithmetic,
        cell: Cell,
        given: Value,
        mask: Value,
        start: Sequence[Value],
        back: bool,
    ) -> list[Value]:
        """The last state's tensors, then every position's h [time, batch, hidden]."""
        body = graph.body("scan")
        before = [
            body.input(f"{body.name}_before_{n}", "float32", ["batch", self.hidden])
            for n in range(len(start))
        ]
        now = body.input(f"{body.name}_given", "float32", ["batch", "gates"])
        real = body.input(f"{body.name}_real", "bool", ["batch", 1])
        moved = cell.step(body, numbers, now, before)
        after = [body.op("Where", real, new, old) for new, old in zip(moved, before, strict=True)]
        for n, tensor in enumerate([*after, after[0]]):
            body.output(tensor, f"{body.name}_after_{n}", "float32", ["batch", self.hidden])
        return graph.split(
            "Scan",
            *start,
            given,
            mask,
            outputs=len(start) + 1,
            body=body.proto(),
            num_scan_inputs=2,
            scan_input_directions=[int(back)] * 2,
            scan_output_directions=[int(back)],
        )

    def _zeros(self, graph: Graph, x: Value) -> Value:
        batch = graph.op("Shape", x, start=1, end=2)
        shape = graph.op("Concat", batch, graph.constant([self.hidden], np.int64), axis=0)
        return graph.op("Expand", graph.constant([[0.0]], np.float32), shape)


def real_positions(graph: Graph, x: Value, lengths: Value) -> Value:
    """For `x` [time, ...] and `lengths` [batch]: true where a row has input, [time, batch, 1] bool."""
    time = graph.op("Squeeze", graph.op("Shape", x, start=0, end=1), graph.constant([0], np.int64))
    count = graph.op("Range", graph.constant(0, np.int64), time, graph.constant(1, np.int64))
    column = graph.op("Unsqueeze", count, graph.constant([1, 2], np.int64))
    return graph.op("Less", column, graph.op("Unsqueeze", lengths, graph.constant([0, 2], np.int64)))
