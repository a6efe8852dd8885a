"""One step of each recurrent cell, in nodes.

`given` is what a step knows before it knows h, taken for all positions at once: most often W x + b of its input with
every gate's rows below each other [..., gates * hidden] in PyTorch's order. Where h goes into a product of the next
step it is between -1 and 1, and carried as the factor of that product. What a step needs in floats besides is `kept`:
c of an LSTM, h of a GRU; [batch, hidden] each.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from training.export.arithmetic import Arithmetic, Factor, Weights
from training.export.graph import Graph, Value

Step = tuple[Value, list[Value]]
"""The next h, and what is kept next."""


class Cell(Protocol):
    """A cell with its weights, ready to be written into a graph."""

    num_kept: int
    has_product: bool
    """Whether h goes into a product of the next step. Else it is the first of what is kept, and may be of any size."""

    def __init__(self, layer: nn.Module, suffix: str) -> None: ...

    def given(self, graph: Graph, numbers: Arithmetic, x: Factor) -> list[Value]:
        """What steps over the inputs `x` [..., in] are given."""
        ...

    def kept(self, state: Sequence[Value]) -> list[Value]:
        """Those of the state's tensors (h first) that a step needs in floats."""
        ...

    def state(self, hidden: Value, kept: Sequence[Value]) -> list[Value]:
        """The state's tensors, h first."""
        ...

    def gates(
        self, graph: Graph, numbers: Arithmetic, given: Sequence[Value], hidden: Factor | None
    ) -> dict[str, Value]:
        """What a step opens and closes, by its letter in the formulas, from the h before it; any leading axes."""
        ...

    def step(
        self,
        graph: Graph,
        numbers: Arithmetic,
        given: Sequence[Value],
        hidden: Factor | None,
        kept: Sequence[Value],
        mask: Value | None = None,
    ) -> Step:
        """One step; where `mask` [batch, 1] is zero the whole state becomes zero. `hidden` where there is a product."""
        ...


class GatedCell:
    """What cells with a recurrent product have in common."""

    has_product = True

    def __init__(self, layer: nn.Module, suffix: str) -> None:
        self._inputs, self._recurrent = _merged_biases(layer, suffix)

    def given(self, graph: Graph, numbers: Arithmetic, x: Factor) -> list[Value]:
        return [numbers.linear(graph, x, self._inputs)]

    def _back(self, graph: Graph, numbers: Arithmetic, hidden: Factor | None) -> Value:
        """U h."""
        assert hidden
        return numbers.linear(graph, hidden, self._recurrent)


class ElmanCell(GatedCell):
    """h' = tanh(W x + b + U h + c)  (Elman 1990)."""

    num_kept = 0

    def kept(self, state: Sequence[Value]) -> list[Value]:
        return []

    def state(self, hidden: Value, kept: Sequence[Value]) -> list[Value]:
        return [hidden]

    def gates(
        self, graph: Graph, numbers: Arithmetic, given: Sequence[Value], hidden: Factor | None
    ) -> dict[str, Value]:
        return {}

    def step(
        self,
        graph: Graph,
        numbers: Arithmetic,
        given: Sequence[Value],
        hidden: Factor | None,
        kept: Sequence[Value],
        mask: Value | None = None,
    ) -> Step:
        new = graph.op("Tanh", graph.op("Add", given[0], self._back(graph, numbers, hidden)))
        return _masked(graph, new, mask), []


class LstmCell(GatedCell):
    """c' = f c + i g and h' = o tanh(c')  (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000)."""

    num_kept = 1

    def kept(self, state: Sequence[Value]) -> list[Value]:
        return list(state[1:])

    def state(self, hidden: Value, kept: Sequence[Value]) -> list[Value]:
        return [hidden, *kept]

    def gates(
        self, graph: Graph, numbers: Arithmetic, given: Sequence[Value], hidden: Factor | None
    ) -> dict[str, Value]:
        gates = graph.op("Add", given[0], self._back(graph, numbers, hidden))
        i, f, g, o = graph.split("Split", gates, outputs=4, axis=-1, num_outputs=4)
        i, f, o = (graph.op("Sigmoid", gate) for gate in (i, f, o))
        return {"i": i, "f": f, "g": graph.op("Tanh", g), "o": o}

    def step(
        self,
        graph: Graph,
        numbers: Arithmetic,
        given: Sequence[Value],
        hidden: Factor | None,
        kept: Sequence[Value],
        mask: Value | None = None,
    ) -> Step:
        (cell,) = kept
        gate = self.gates(graph, numbers, given, hidden)
        old, added = graph.op("Mul", gate["f"], cell), graph.op("Mul", gate["i"], gate["g"])
        cell = _masked(graph, graph.op("Add", old, added), mask)
        return graph.op("Mul", gate["o"], graph.op("Tanh", cell)), [cell]


class GruCell(GatedCell):
    """h' = (1 - z) n + z h with n = tanh(W x + b + r (U h + c))  (Cho et al. 2014 §2.3, as cuDNN has it)."""

    num_kept = 1

    def __init__(self, layer: nn.Module, suffix: str) -> None:
        self._inputs = Weights(_array(layer, f"weight_ih_{suffix}"), _array(layer, f"bias_ih_{suffix}"))
        self._recurrent = Weights(_array(layer, f"weight_hh_{suffix}"), _array(layer, f"bias_hh_{suffix}"))

    def kept(self, state: Sequence[Value]) -> list[Value]:
        return list(state)

    def state(self, hidden: Value, kept: Sequence[Value]) -> list[Value]:
        return list(kept)

    def gates(
        self, graph: Graph, numbers: Arithmetic, given: Sequence[Value], hidden: Factor | None
    ) -> dict[str, Value]:
        ir, iz, fresh = graph.split("Split", given[0], outputs=3, axis=-1, num_outputs=3)
        back = self._back(graph, numbers, hidden)
        hr, hz, old = graph.split("Split", back, outputs=3, axis=-1, num_outputs=3)
        r, z = (graph.op("Sigmoid", graph.op("Add", *pair)) for pair in ((ir, hr), (iz, hz)))
        n = graph.op("Tanh", graph.op("Add", fresh, graph.op("Mul", r, old)))
        return {"r": r, "z": z, "n": n}

    def step(
        self,
        graph: Graph,
        numbers: Arithmetic,
        given: Sequence[Value],
        hidden: Factor | None,
        kept: Sequence[Value],
        mask: Value | None = None,
    ) -> Step:
        (before,) = kept
        gate = self.gates(graph, numbers, given, hidden)
        kept_part = graph.op("Mul", gate["z"], graph.op("Sub", before, gate["n"]))
        after = graph.op("Add", gate["n"], kept_part)
        after = _masked(graph, after, mask)
        return after, [after]


class MinGruCell:
    """h' = (1 - z) h + z n (Feng et al. 2024 §3.1). Neither z nor n looks at h, so 1 - z and z n are what is given."""

    num_kept = 1
    has_product = False

    def __init__(self, layer: nn.Module, suffix: str) -> None:
        self._inputs = Weights(_array(layer, f"weight_ih_{suffix}"), _array(layer, f"bias_ih_{suffix}"))

    def given(self, graph: Graph, numbers: Arithmetic, x: Factor) -> list[Value]:
        both = numbers.linear(graph, x, self._inputs)
        update, new = graph.split("Split", both, outputs=2, axis=-1, num_outputs=2)
        update = graph.op("Sigmoid", update)
        keep = graph.op("Sub", graph.constant(1, np.float32), update)
        return [keep, graph.op("Mul", update, new)]

    def kept(self, state: Sequence[Value]) -> list[Value]:
        return list(state)

    def state(self, hidden: Value, kept: Sequence[Value]) -> list[Value]:
        return list(kept)

    def gates(
        self, graph: Graph, numbers: Arithmetic, given: Sequence[Value], hidden: Factor | None
    ) -> dict[str, Value]:
        return {"z": graph.op("Sub", graph.constant(1, np.float32), given[0])}

    def step(
        self,
        graph: Graph,
        numbers: Arithmetic,
        given: Sequence[Value],
        hidden: Factor | None,
        kept: Sequence[Value],
        mask: Value | None = None,
    ) -> Step:
        after = graph.op("Add", graph.op("Mul", given[0], kept[0]), given[1])
        after = _masked(graph, after, mask)
        return after, [after]


CELLS: dict[str, type[Cell]] = {"rnn": ElmanCell, "lstm": LstmCell, "gru": GruCell, "mingru": MinGruCell}


def weights_of(linear: nn.Linear) -> Weights:
    """A linear layer's weights."""
    arrays = {name: weight.detach().float().numpy() for name, weight in linear.named_parameters()}
    return Weights(arrays["weight"], arrays.get("bias"))


def _merged_biases(layer: nn.Module, suffix: str) -> tuple[Weights, Weights]:
    """Input and recurrent weights where both biases only ever meet as a sum."""
    bias = _array(layer, f"bias_ih_{suffix}") + _array(layer, f"bias_hh_{suffix}")
    return Weights(_array(layer, f"weight_ih_{suffix}"), bias), Weights(_array(layer, f"weight_hh_{suffix}"))


def _array(layer: nn.Module, name: str) -> Any:
    weight = getattr(layer, name)
    assert isinstance(weight, torch.Tensor)
    return weight.detach().float().numpy()


def _masked(graph: Graph, x: Value, mask: Value | None) -> Value:
    return x if mask is None else graph.op("Mul", x, mask)
