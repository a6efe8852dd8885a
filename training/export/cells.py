"""One step of each recurrent cell, in nodes.

`given` is W x + b of the step's input with every gate's rows below each other [..., gates * hidden] in PyTorch's order;
the state's tensors are [..., hidden].
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import nn

from training.export.arithmetic import Arithmetic, Weights
from training.export.graph import Graph, Value


class Cell(Protocol):
    """A cell with its weights, ready to be written into a graph."""

    def __init__(self, stack: nn.RNNBase, suffix: str) -> None: ...

    inputs: Weights
    """What turns the step's input into `given`."""

    def step(self, graph: Graph, numbers: Arithmetic, given: Value, state: Sequence[Value]) -> list[Value]:
        """The next state, its first tensor being the cell's output h."""
        ...


class ElmanCell:
    """h' = tanh(W x + b + U h + c)  (Elman 1990)."""

    def __init__(self, stack: nn.RNNBase, suffix: str) -> None:
        self.inputs, self.recurrent = _merged_biases(stack, suffix)

    def step(self, graph: Graph, numbers: Arithmetic, given: Value, state: Sequence[Value]) -> list[Value]:
        """The next h."""
        (hidden,) = state
        return [graph.op("Tanh", graph.op("Add", given, numbers.linear(graph, hidden, self.recurrent)))]


class LstmCell:
    """c' = f c + i g and h' = o tanh(c')  (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000)."""

    def __init__(self, stack: nn.RNNBase, suffix: str) -> None:
        self.inputs, self.recurrent = _merged_biases(stack, suffix)

    def step(self, graph: Graph, numbers: Arithmetic, given: Value, state: Sequence[Value]) -> list[Value]:
        """The next h and c."""
        hidden, cell = state
        gates = graph.op("Add", given, numbers.linear(graph, hidden, self.recurrent))
        i, f, g, o = graph.split("Split", gates, outputs=4, axis=-1, num_outputs=4)
        i, f, o = (graph.op("Sigmoid", gate) for gate in (i, f, o))
        kept, added = graph.op("Mul", f, cell), graph.op("Mul", i, graph.op("Tanh", g))
        cell = graph.op("Add", kept, added)
        return [graph.op("Mul", o, graph.op("Tanh", cell)), cell]


class GruCell:
    """h' = (1 - z) n + z h with n = tanh(W x + b + r (U h + c))  (Cho et al. 2014 §2.3, as cuDNN has it)."""

    def __init__(self, stack: nn.RNNBase, suffix: str) -> None:
        self.inputs = Weights(_array(stack, f"weight_ih_{suffix}"), _array(stack, f"bias_ih_{suffix}"))
        self.recurrent = Weights(_array(stack, f"weight_hh_{suffix}"), _array(stack, f"bias_hh_{suffix}"))

    def step(self, graph: Graph, numbers: Arithmetic, given: Value, state: Sequence[Value]) -> list[Value]:
        """The next h."""
        (hidden,) = state
        ir, iz, fresh = graph.split("Split", given, outputs=3, axis=-1, num_outputs=3)
        back = numbers.linear(graph, hidden, self.recurrent)
        hr, hz, old = graph.split("Split", back, outputs=3, axis=-1, num_outputs=3)
        reset, keep = (graph.op("Sigmoid", graph.op("Add", *pair)) for pair in ((ir, hr), (iz, hz)))
        new = graph.op("Tanh", graph.op("Add", fresh, graph.op("Mul", reset, old)))
        return [graph.op("Add", new, graph.op("Mul", keep, graph.op("Sub", hidden, new)))]


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
