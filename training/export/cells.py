"""One step of each recurrent cell, in nodes.

`given` is W x + b of the step's input with every gate's rows below each other [..., gates * hidden] in PyTorch's order.
h is between -1 and 1 in each of them, and most often only a factor of the next product: so it is carried as that. What
a step needs in floats besides is `kept`: c of an LSTM, h of a GRU; [batch, hidden] each.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import nn

from training.export.arithmetic import Arithmetic, Factor, Weights
from training.export.graph import Graph, Value

Step = tuple[Value, list[Value]]
"""The next h, and what is kept next."""


class Cell(Protocol):
    """A cell with its weights, ready to be written into a graph."""

    num_kept: int

    def __init__(self, stack: nn.RNNBase, suffix: str) -> None: ...

    inputs: Weights
    """What turns the step's input into `given`."""

    def kept(self, state: Sequence[Value]) -> list[Value]:
        """Those of the state's tensors (h first) that a step needs in floats."""
        ...

    def state(self, hidden: Value, kept: Sequence[Value]) -> list[Value]:
        """The state's tensors, h first."""
        ...

    def step(
        self,
        graph: Graph,
        numbers: Arithmetic,
        given: Value,
        hidden: Factor,
        kept: Sequence[Value],
        mask: Value | None = None,
    ) -> Step:
        """One step; where `mask` [batch, 1] is zero the whole state becomes zero."""
        ...


class ElmanCell:
    """h' = tanh(W x + b + U h + c)  (Elman 1990)."""

    num_kept = 0

    def __init__(self, stack: nn.RNNBase, suffix: str) -> None:
        self.inputs, self._recurrent = _merged_biases(stack, suffix)

    def kept(self, state: Sequence[Value]) -> list[Value]:
        return []

    def state(self, hidden: Value, kept: Sequence[Value]) -> list[Value]:
        return [hidden]

    def step(
        self,
        graph: Graph,
        numbers: Arithmetic,
        given: Value,
        hidden: Factor,
        kept: Sequence[Value],
        mask: Value | None = None,
    ) -> Step:
        new = graph.op("Tanh", graph.op("Add", given, numbers.linear(graph, hidden, self._recurrent)))
        return _masked(graph, new, mask), []


class LstmCell:
    """c' = f c + i g and h' = o tanh(c')  (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000)."""

    num_kept = 1

    def __init__(self, stack: nn.RNNBase, suffix: str) -> None:
        self.inputs, self._recurrent = _merged_biases(stack, suffix)

    def kept(self, state: Sequence[Value]) -> list[Value]:
        return list(state[1:])

    def state(self, hidden: Value, kept: Sequence[Value]) -> list[Value]:
        return [hidden, *kept]

    def step(
        self,
        graph: Graph,
        numbers: Arithmetic,
        given: Value,
        hidden: Factor,
        kept: Sequence[Value],
        mask: Value | None = None,
    ) -> Step:
        (cell,) = kept
        gates = graph.op("Add", given, numbers.linear(graph, hidden, self._recurrent))
        i, f, g, o = graph.split("Split", gates, outputs=4, axis=-1, num_outputs=4)
        i, f, o = (graph.op("Sigmoid", gate) for gate in (i, f, o))
        old, added = graph.op("Mul", f, cell), graph.op("Mul", i, graph.op("Tanh", g))
        cell = _masked(graph, graph.op("Add", old, added), mask)
        return graph.op("Mul", o, graph.op("Tanh", cell)), [cell]


class GruCell:
    """h' = (1 - z) n + z h with n = tanh(W x + b + r (U h + c))  (Cho et al. 2014 §2.3, as cuDNN has it)."""

    num_kept = 1

    def __init__(self, stack: nn.RNNBase, suffix: str) -> None:
        self.inputs = Weights(_array(stack, f"weight_ih_{suffix}"), _array(stack, f"bias_ih_{suffix}"))
        self._recurrent = Weights(_array(stack, f"weight_hh_{suffix}"), _array(stack, f"bias_hh_{suffix}"))

    def kept(self, state: Sequence[Value]) -> list[Value]:
        return list(state)

    def state(self, hidden: Value, kept: Sequence[Value]) -> list[Value]:
        return list(kept)

    def step(
        self,
        graph: Graph,
        numbers: Arithmetic,
        given: Value,
        hidden: Factor,
        kept: Sequence[Value],
        mask: Value | None = None,
    ) -> Step:
        (before,) = kept
        ir, iz, fresh = graph.split("Split", given, outputs=3, axis=-1, num_outputs=3)
        back = numbers.linear(graph, hidden, self._recurrent)
        hr, hz, old = graph.split("Split", back, outputs=3, axis=-1, num_outputs=3)
        reset, keep = (graph.op("Sigmoid", graph.op("Add", *pair)) for pair in ((ir, hr), (iz, hz)))
        new = graph.op("Tanh", graph.op("Add", fresh, graph.op("Mul", reset, old)))
        after = graph.op("Add", new, graph.op("Mul", keep, graph.op("Sub", before, new)))
        after = _masked(graph, after, mask)
        return after, [after]


CELLS: dict[str, type[Cell]] = {"rnn": ElmanCell, "lstm": LstmCell, "gru": GruCell}


def weights_of(linear: nn.Linear) -> Weights:
    """A linear layer's weights."""
    arrays = {name: weight.detach().float().numpy() for name, weight in linear.named_parameters()}
    return Weights(arrays["weight"], arrays.get("bias"))


def _merged_biases(stack: nn.RNNBase, suffix: str) -> tuple[Weights, Weights]:
    """Input and recurrent weights where both biases only ever meet as a sum."""
    bias = _array(stack, f"bias_ih_{suffix}") + _array(stack, f"bias_hh_{suffix}")
    return Weights(_array(stack, f"weight_ih_{suffix}"), bias), Weights(_array(stack, f"weight_hh_{suffix}"))


def _array(stack: nn.RNNBase, name: str) -> Any:
    weight = getattr(stack, name)
    assert isinstance(weight, torch.Tensor)
    return weight.detach().float().numpy()


def _masked(graph: Graph, x: Value, mask: Value | None) -> Value:
    return x if mask is None else graph.op("Mul", x, mask)
