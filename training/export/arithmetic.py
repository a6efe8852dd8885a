"""How a graph multiplies by weights: in float32, or exactly in eight bits.

Both are exact in the sense of the service's first promise: a row's result depends on that row alone, bit for bit,
whatever the other rows of the batch are.

The usual dynamic quantization scales a whole batch by its largest element, so that one session's outlier coarsens all
the others. Here each row has its own scale,

    a = max |x|,  q = round(127 x / a) + 128   (uint8, zero point 128)
    x Wᵀ ≈ (q - 128) Qᵀ · a/127 · s,           Q = round(W / s) (int8), s = max |row of W| / 127,

and the product in the middle is one of integers, in which the order of the sum does not matter.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from training.export.graph import ELEMENTS, Graph, Value

Array = np.ndarray[Any, np.dtype[Any]]

TINY = 1e-12
"""Keeps a row of zeros from dividing by zero."""


@dataclass(frozen=True, eq=False)
class Weights:
    """y = x Wᵀ + b, with `matrix` W [out, in] and `bias` b [out] or none."""

    matrix: Array
    bias: Array | None = None


class Arithmetic(Protocol):
    """A way to multiply by weights."""

    def linear(self, graph: Graph, x: Value, weights: Weights) -> Value:
        """`x` [..., in] to [..., out]."""
        ...

    def lookup(self, graph: Graph, tokens: Value, weights: Weights) -> Value:
        """Rows of the matrix: `tokens` [...] int64 to [..., in]."""
        ...


class Float32:
    """Weights as they were trained."""

    def linear(self, graph: Graph, x: Value, weights: Weights) -> Value:
        """`x` [..., in] to [..., out]."""
        turned = graph.op("Transpose", graph.constant(weights.matrix, np.float32, "weight"), perm=[1, 0])
        return _add_bias(graph, graph.op("MatMul", x, turned), weights)

    def lookup(self, graph: Graph, tokens: Value, weights: Weights) -> Value:
        """Rows of the matrix: `tokens` [...] int64 to [..., in]."""
        return graph.op("Gather", graph.constant(weights.matrix, np.float32, "weight"), tokens)


class RowwiseInt8:
    """Weights in eight bits with a scale per output, inputs with a scale per row."""

    def __init__(self) -> None:
        self._weights: dict[int, tuple[Weights, Array, Array]] = {}
        self._rows: dict[tuple[Graph, Value], tuple[Value, Value]] = {}

    def linear(self, graph: Graph, x: Value, weights: Weights) -> Value:
        """`x` [..., in] to [..., out]."""
        matrix, scale = self._quantized(weights)
        rows, row_scale = self._quantize_rows(graph, x)
        turned = graph.op("Transpose", graph.constant(matrix, np.int8, "weight"), perm=[1, 0])
        product = graph.op("MatMulInteger", rows, turned, graph.constant(128, np.uint8))
        floats = graph.op("Cast", product, to=ELEMENTS["float32"])
        scaled = graph.op("Mul", floats, graph.constant(scale / 127, np.float32, "scale"))
        return _add_bias(graph, graph.op("Mul", scaled, row_scale), weights)

    def lookup(self, graph: Graph, tokens: Value, weights: Weights) -> Value:
        """Rows of the matrix: `tokens` [...] int64 to [..., in]."""
        matrix, scale = self._quantized(weights)
        rows = graph.op(
            "Cast",
            graph.op("Gather", graph.constant(matrix, np.int8, "weight"), tokens),
            to=ELEMENTS["float32"],
        )
        column = scale.reshape(-1, 1)
        return graph.op("Mul", rows, graph.op("Gather", graph.constant(column, np.float32, "scale"), tokens))

    def _quantized(self, weights: Weights) -> tuple[Array, Array]:
        """Q [out, in] int8 and s [out]; the same arrays for the same weights, so that a tied matrix is stored once."""
        if id(weights.matrix) not in self._weights:
            scale = np.maximum(np.abs(weights.matrix).max(axis=1), TINY) / 127
            matrix = np.round(weights.matrix / scale[:, None]).astype(np.int8)
            self._weights[id(weights.matrix)] = weights, matrix, scale.astype(np.float32)
        return self._weights[id(weights.matrix)][1:]

    def _quantize_rows(self, graph: Graph, x: Value) -> tuple[Value, Value]:
        """q [..., in] uint8 and a [..., 1]; once for each value, however many matrices it meets."""
        key = graph, x
        if key not in self._rows:
            largest = graph.op("ReduceMax", graph.op("Abs", x), graph.constant([-1], np.int64), keepdims=1)
            largest = graph.op("Max", largest, graph.constant(TINY, np.float32))
            stretched = graph.op("Mul", x, graph.op("Div", graph.constant(127, np.float32), largest))
            shifted = graph.op("Add", graph.op("Round", stretched), graph.constant(128, np.float32))
            self._rows[key] = graph.op("Cast", shifted, to=ELEMENTS["uint8"]), largest
        return self._rows[key]


def _add_bias(graph: Graph, product: Value, weights: Weights) -> Value:
    if weights.bias is None:
        return product
    return graph.op("Add", product, graph.constant(weights.bias, np.float32, "bias"))


ARITHMETICS: dict[str, type[Arithmetic]] = {"fp32": Float32, "int8": RowwiseInt8}
