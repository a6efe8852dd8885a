"""A deep recurrent stack, layer by layer, with what helps gradients through many of them.

    x ──┬── norm ── layer ── dropout ── + ──▶      norm: before the layer (Xiong et al. 2020 §3; Ba et al. 2016 Eq. 3)
        └─────────────────────────────── ┘         residual: where input and output are of one size (He et al. 2016)

The state holds each layer's own h, before anything is added to it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from training.modules.dropout import Outputs, mapped


class DeepStack(nn.Module):
    """Called as PyTorch's recurrent modules are.

    Weights: `layers.{k}.*` as in a stack of one layer; with layer norm `norms.{k}.weight` and `.bias`, of the size of
    the layer's inputs.
    """

    def __init__(
        self, layers: Sequence[nn.Module], inputs: int, dropout: nn.Module, *, residual: bool, norm: bool
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.num_layers = len(layers)
        self.hidden_size: int = layers[0].hidden_size  # type: ignore[assignment]
        self.bidirectional = bool(layers[0].bidirectional)
        size = self.hidden_size * (1 + self.bidirectional)
        sizes = [inputs, *[size] * (len(layers) - 1)]
        self.norms = nn.ModuleList(nn.LayerNorm(each) for each in sizes) if norm else None
        self.residual = [residual and each == size for each in sizes]
        """Which layers add their input to their output."""
        self.dropout = dropout

    def forward(
        self, inputs: Outputs, state: Tensor | tuple[Tensor, ...] | None = None
    ) -> tuple[Outputs, tuple[Tensor, ...]]:
        """`inputs` [batch, time, inputs] or packed to outputs alike, and the state of all layers."""
        given = (state,) if isinstance(state, Tensor) else state
        x, finals = inputs, []
        for number in range(self.num_layers):
            x, final = self._layer(number, x, None if given is None else self._of(number, given))
            finals.append(final)
        return x, tuple(torch.cat(tensors) for tensors in zip(*finals, strict=True))

    def _layer(
        self, number: int, x: Outputs, state: tuple[Tensor, ...] | None
    ) -> tuple[Outputs, tuple[Tensor, ...]]:
        given = mapped(self.norms[number], x) if self.norms else x
        first = state if state is None or len(state) > 1 else state[0]
        outputs, final = self.layers[number](given, first)
        if number < self.num_layers - 1:
            outputs = self.dropout(outputs)
        if self.residual[number]:
            outputs = mapped(lambda own: own + _data(x), outputs)
        return outputs, final if isinstance(final, tuple) else (final,)

    def _of(self, number: int, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """One layer's part of the state."""
        ways = 1 + self.bidirectional
        return tuple(tensor[number * ways : (number + 1) * ways].contiguous() for tensor in state)


def _data(x: Outputs) -> Tensor:
    return x.data if isinstance(x, PackedSequence) else x
