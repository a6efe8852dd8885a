"""How a graph multiplies by weights: in float32, or exactly in eight bits.

Both are exact in the sense of the service's first promise: a row's result depends on that row alone, bit for bit,
whatever the other rows of the batch are.

The usual dynamic quantization scales a whole batch by its largest element, so that one session's outlier coarsens all
the others. Here

    x = (q - 128) · a · t    q uint8, a one scale for the whole row (or 1), t one number for ever
    x Wᵀ ≈ ((q - 128) Qᵀ) · s · t · a,    Q = round(W / s) (int8), s = max |row of W| / 127,

and the product in the middle is one of integers, in which the order of the sum does not matter. Where |x| ≤ 1 is known,
as of the output of every cell and of every tanh, t = 1/127 and nothing has to be measured (a = 1). The rows of an
embedding are in eight bits already, with a scale each. Any other row is measured: a = max |x| and t = 1/127.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from training.export.graph import CONTRIB, ELEMENTS, Graph, Value

Array = np.ndarray[Any, np.dtype[Any]]

MIDDLE = 128
"""The uint8 that stands for zero."""
TINY = 1e-12
"""Keeps a row of zeros from dividing by zero."""


@dataclass(frozen=True, eq=False)
class Weights:
    """y = x Wᵀ + b, with `matrix` W [out, in] and `bias` b [out] or none."""

    matrix: Array
    bias: Array | None = None


@dataclass(frozen=True)
class Factor:
    """Rows that are ready to be multiplied by any number of weights."""

    value: Value
    """[..., in]: in float32 the rows themselves, in eight bits q."""
    scale: Value | None = None
    """[..., 1]: a, or none for 1."""
    step: float = 1.0
    """t."""


class Arithmetic(Protocol):
    """A way to multiply by weights."""

    element: str
    """Dtype of a factor's value."""

    def factor(self, graph: Graph, x: Value) -> Factor:
        """Any `x` [..., in]."""
        ...

    def bounded(self, graph: Graph, x: Value) -> Factor:
        """`x` [..., in] of which nothing is beyond -1 and 1; its factor has no scale, so it can be cut and joined."""
        ...

    def held(self, value: Value) -> Factor:
        """The factor that `bounded` made, known by its value again: from a state, or cut and joined."""
        ...

    def floats(self, graph: Graph, x: Factor) -> Value:
        """What `bounded` was given, or the rows that `lookup` found, as near as the factor tells."""
        ...

    def lookup(self, graph: Graph, tokens: Value, weights: Weights) -> Factor:
        """Rows of the matrix: `tokens` [...] int64 to [..., in]."""
        ...

    def linear(self, graph: Graph, x: Factor, weights: Weights) -> Value:
        """[..., in] to [..., out]."""
        ...


class Float32:
    """Weights as they were trained."""

    element = "float32"

    def factor(self, graph: Graph, x: Value) -> Factor:
        return Factor(x)

    def bounded(self, graph: Graph, x: Value) -> Factor:
        return Factor(x)

    def held(self, value: Value) -> Factor:
        return Factor(value)

    def floats(self, graph: Graph, x: Factor) -> Value:
        return x.value

    def lookup(self, graph: Graph, tokens: Value, weights: Weights) -> Factor:
        return Factor(graph.op("Gather", graph.constant(weights.matrix, np.float32, "weight"), tokens))

    def linear(self, graph: Graph, x: Factor, weights: Weights) -> Value:
        turned = graph.op("Transpose", graph.constant(weights.matrix, np.float32, "weight"), perm=[1, 0])
        return _add_bias(graph, graph.op("MatMul", x.value, turned), weights)


class RowwiseInt8:
    """Weights in eight bits with a scale per output, inputs with a scale per row or one for ever."""

    element = "uint8"

    def __init__(self) -> None:
        self._weights: dict[int, tuple[Weights, Array, Array]] = {}

    def factor(self, graph: Graph, x: Value) -> Factor:
        largest = graph.op("ReduceMax", graph.op("Abs", x), graph.constant([-1], np.int64), keepdims=1)
        largest = graph.op("Max", largest, graph.constant(TINY, np.float32))
        stretched = graph.op("Mul", x, graph.op("Div", graph.constant(127, np.float32), largest))
        return Factor(_to_uint8(graph, stretched, 1.0), largest, 1 / 127)

    def bounded(self, graph: Graph, x: Value) -> Factor:
        return self.held(_to_uint8(graph, x, 1 / 127))

    def held(self, value: Value) -> Factor:
        return Factor(value, None, 1 / 127)

    def floats(self, graph: Graph, x: Factor) -> Value:
        step, middle = graph.constant(x.step, np.float32), graph.constant(MIDDLE, np.uint8)
        found = graph.op("DequantizeLinear", x.value, step, middle)
        return found if x.scale is None else graph.op("Mul", found, x.scale)

    def lookup(self, graph: Graph, tokens: Value, weights: Weights) -> Factor:
        matrix, scale = self._quantized(weights)
        rows = graph.op("Gather", graph.constant(matrix, np.int8, "weight"), tokens)
        column = graph.constant(scale.reshape(-1, 1), np.float32, "scale")
        shifted = _to_uint8(graph, graph.op("Cast", rows, to=ELEMENTS["float32"]), 1.0)
        return Factor(shifted, graph.op("Gather", column, tokens))

    def linear(self, graph: Graph, x: Factor, weights: Weights) -> Value:
        matrix, scale = self._quantized(weights)
        turned = graph.op("Transpose", graph.constant(matrix, np.int8, "weight"), perm=[1, 0])
        scales = (
            graph.constant(1, np.float32),
            graph.constant(scale * np.float32(x.step), np.float32, "scale"),
        )
        bias = weights.bias if x.scale is None else None
        added = () if bias is None else ("", graph.constant(bias, np.float32, "bias"))
        product = graph.op(
            "MatMulIntegerToFloat",
            x.value,
            turned,
            *scales,
            graph.constant(MIDDLE, np.uint8),
            *added,
            domain=CONTRIB,
        )
        return product if x.scale is None else _add_bias(graph, graph.op("Mul", product, x.scale), weights)

    def _quantized(self, weights: Weights) -> tuple[Array, Array]:
        """Q [out, in] int8 and s [out]; the same arrays for the same weights, so that a tied matrix is stored once."""
        if id(weights.matrix) not in self._weights:
            scale = np.maximum(np.abs(weights.matrix).max(axis=1), TINY) / 127
            matrix = np.round(weights.matrix / scale[:, None]).astype(np.int8)
            self._weights[id(weights.matrix)] = weights, matrix, scale.astype(np.float32)
        return self._weights[id(weights.matrix)][1:]


def _to_uint8(graph: Graph, x: Value, step: float) -> Value:
    """round(x / step) + 128."""
    return graph.op("QuantizeLinear", x, graph.constant(step, np.float32), graph.constant(MIDDLE, np.uint8))


def _add_bias(graph: Graph, product: Value, weights: Weights) -> Value:
    if weights.bias is None:
        return product
    return graph.op("Add", product, graph.constant(weights.bias, np.float32, "bias"))


ARITHMETICS: dict[str, type[Arithmetic]] = {"fp32": Float32, "int8": RowwiseInt8}
