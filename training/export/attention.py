"""How a decoder looks at the source, in nodes; each class beside its namesake in `training.modules.attention`.

The context that `encode` leaves behind is all that a step needs, projected once: `keys` [batch, source, attention] and
`values` [batch, source, size]. The softmax and the sum over the source are equal bit for bit whatever the padding
as long as the padded length is a multiple of `PAD` (a row's blocks of the sum are then the same).

Where the context goes into the readout alone, the readout's product C is taken of every s at once, since it is linear:
the values are C s, and Σ aᵢ C sᵢ = C Σ aᵢ sᵢ.
"""

from typing import Protocol

import numpy as np

from training.export.arithmetic import Arithmetic, Weights
from training.export.cells import weights_of
from training.export.graph import Graph, Value
from training.export.signal import Signal
from training.modules.attention import MASKED, AdditiveAttention, LuongAttention
from training.modules.decoder import Decoder

PAD = 16
"""Padded source lengths are rounded up to a multiple of this."""


class Attention(Protocol):
    """A decoder's attention with its weights, ready to be written into a graph."""

    before_cell: bool
    """Whether the context goes into the cell, too."""
    num_keys: int
    num_values: int

    def __init__(self, decoder: Decoder) -> None: ...

    def context(self, graph: Graph, numbers: Arithmetic, outputs: Signal) -> tuple[Value, Value]:
        """Keys and values from the encoder's outputs [..., encoder]."""
        ...

    def scores(self, graph: Graph, numbers: Arithmetic, hidden: Signal, keys: Value) -> Value:
        """`hidden` [batch, hidden] and keys to [batch, 1, source]."""
        ...

    def to_readout(self, graph: Graph, numbers: Arithmetic, seen: Value) -> Value:
        """What the readout adds for the values seen [batch, num_values]: [batch, embedding]."""
        ...


class Dot:
    """score(h, s) = hᵀ s; the keys are s itself."""

    before_cell = False

    def __init__(self, decoder: Decoder) -> None:
        self._value = _to_readout(decoder)
        self.num_keys, self.num_values = decoder.attention.size, len(self._value.matrix)

    def context(self, graph: Graph, numbers: Arithmetic, outputs: Signal) -> tuple[Value, Value]:
        """Keys and values from the encoder's outputs [..., encoder]."""
        return outputs.floats(graph), numbers.linear(graph, outputs.factor(graph), self._value)

    def scores(self, graph: Graph, numbers: Arithmetic, hidden: Signal, keys: Value) -> Value:
        """`hidden` [batch, hidden] and keys to [batch, 1, source]."""
        query = graph.op("Unsqueeze", hidden.floats(graph), graph.constant([1], np.int64))
        return graph.op("MatMul", query, graph.op("Transpose", keys, perm=[0, 2, 1]))

    def to_readout(self, graph: Graph, numbers: Arithmetic, seen: Value) -> Value:
        """The values seen: they are projected already."""
        return seen


class Luong(Dot):
    """score(h, s) = hᵀ W s; the keys are W s."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__(decoder)
        assert isinstance(decoder.attention, LuongAttention)
        self._key = weights_of(decoder.attention.key)
        self.num_keys = len(self._key.matrix)

    def context(self, graph: Graph, numbers: Arithmetic, outputs: Signal) -> tuple[Value, Value]:
        """Keys and values from the encoder's outputs [..., encoder]."""
        factor = outputs.factor(graph)
        return numbers.linear(graph, factor, self._key), numbers.linear(graph, factor, self._value)


class SharedLuong:
    """score(h, s) = hᵀ W s = (Wᵀ h)ᵀ s; keys and values are s itself, so that the encoder knows nothing of its decoder.

    A step costs two small products more than `Luong`'s.
    """

    before_cell = False

    def __init__(self, decoder: Decoder) -> None:
        assert isinstance(decoder.attention, LuongAttention)
        self._query = Weights(np.ascontiguousarray(weights_of(decoder.attention.key).matrix.T))
        self._readout = _to_readout(decoder)
        self.num_keys = self.num_values = decoder.attention.size

    def context(self, graph: Graph, numbers: Arithmetic, outputs: Signal) -> tuple[Value, Value]:
        """The encoder's outputs [..., encoder], twice."""
        floats = outputs.floats(graph)
        return floats, floats

    def scores(self, graph: Graph, numbers: Arithmetic, hidden: Signal, keys: Value) -> Value:
        """`hidden` [batch, hidden] and keys to [batch, 1, source]."""
        query = numbers.linear(graph, hidden.factor(graph), self._query)
        everywhere = graph.op("Unsqueeze", query, graph.constant([1], np.int64))
        return graph.op("MatMul", everywhere, graph.op("Transpose", keys, perm=[0, 2, 1]))

    def to_readout(self, graph: Graph, numbers: Arithmetic, seen: Value) -> Value:
        """The readout's product with the values seen."""
        return numbers.linear(graph, numbers.factor(graph, seen), self._readout)


class Bahdanau:
    """score(h, s) = vᵀ tanh(W h + U s), h before the cell; the keys are U s, the values s, which the cell takes in."""

    before_cell = True

    def __init__(self, decoder: Decoder) -> None:
        assert isinstance(decoder.attention, AdditiveAttention)
        self._query, self._key = weights_of(decoder.attention.query), weights_of(decoder.attention.key)
        self._energy = weights_of(decoder.attention.energy)
        self._readout = _to_readout(decoder)
        self.num_keys, self.num_values = self._key.matrix.shape

    def context(self, graph: Graph, numbers: Arithmetic, outputs: Signal) -> tuple[Value, Value]:
        """Keys and values from the encoder's outputs [..., encoder]."""
        return numbers.linear(graph, outputs.factor(graph), self._key), outputs.floats(graph)

    def scores(self, graph: Graph, numbers: Arithmetic, hidden: Signal, keys: Value) -> Value:
        """`hidden` [batch, hidden] and keys to [batch, 1, source]."""
        query = numbers.linear(graph, hidden.factor(graph), self._query)
        everywhere = graph.op("Unsqueeze", query, graph.constant([1], np.int64))
        mixed = graph.op("Tanh", graph.op("Add", everywhere, keys))
        return graph.op(
            "Transpose", numbers.linear(graph, numbers.bounded(graph, mixed), self._energy), perm=[0, 2, 1]
        )

    def to_readout(self, graph: Graph, numbers: Arithmetic, seen: Value) -> Value:
        """The readout's product with the values seen."""
        return numbers.linear(graph, numbers.factor(graph, seen), self._readout)


class Concat(Bahdanau):
    """The same score with h after the cell, so that the context goes into the readout alone."""

    before_cell = False

    def __init__(self, decoder: Decoder) -> None:
        super().__init__(decoder)
        self.num_values = len(self._readout.matrix)

    def context(self, graph: Graph, numbers: Arithmetic, outputs: Signal) -> tuple[Value, Value]:
        """Keys and values from the encoder's outputs [..., encoder]."""
        factor = outputs.factor(graph)
        return numbers.linear(graph, factor, self._key), numbers.linear(graph, factor, self._readout)

    def to_readout(self, graph: Graph, numbers: Arithmetic, seen: Value) -> Value:
        """The values seen: they are projected already."""
        return seen


ATTENTIONS: dict[str, type[Attention] | None] = {
    "none": None,
    "luong": Luong,
    "luong-dot": Dot,
    "luong-concat": Concat,
    "bahdanau": Bahdanau,
}


def look(graph: Graph, scores: Value, values: Value, lengths: Value) -> tuple[Value, Value]:
    """Values weighted by the softmax of `scores` [batch, 1, source] over real positions, and the weights.

    [batch, num_values] and [batch, source]; at padding the weights are zero.
    """
    one = graph.constant([1], np.int64)
    source = graph.op("Squeeze", graph.op("Shape", scores, start=2, end=3), graph.constant([0], np.int64))
    places = graph.op("Range", graph.constant(0, np.int64), source, graph.constant(1, np.int64))
    real = graph.op("Less", places, graph.op("Unsqueeze", lengths, graph.constant([1, 2], np.int64)))
    masked = graph.op("Where", real, scores, graph.constant(MASKED, np.float32))
    weights = graph.op("Softmax", masked, axis=-1)
    seen = graph.op("Squeeze", graph.op("MatMul", weights, values), one)
    return seen, graph.op("Squeeze", weights, one)


def _to_readout(decoder: Decoder) -> Weights:
    assert decoder.readout.context is not None
    return weights_of(decoder.readout.context)
