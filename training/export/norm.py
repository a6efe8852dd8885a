"""Layer normalisation, in nodes."""

from torch import nn

from training.export.arithmetic import Array
from training.export.graph import Graph, Value


class Norm:
    """(x - mean) / √(variance + ε) · scale + bias, each row by itself (Ba et al. 2016, Eq. 3 and 4)."""

    def __init__(self, norm: nn.Module) -> None:
        assert isinstance(norm, nn.LayerNorm)
        self._scale, self._bias = _array(norm.weight), _array(norm.bias)
        self._epsilon = norm.eps

    def of(self, graph: Graph, x: Value) -> Value:
        """`x` [..., size]."""
        scale, bias = graph.constant(self._scale, name="scale"), graph.constant(self._bias, name="bias")
        return graph.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=self._epsilon)


def _array(weight: nn.Parameter) -> Array:
    return weight.detach().float().numpy()
