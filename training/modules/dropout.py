"""Dropout for recurrent stacks: of units, anew at each position or once for a sequence, and of recurrent weights."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence

Outputs = Tensor | PackedSequence


class PositionDropout(nn.Module):
    """Other units at each position (Zaremba et al. 2014 §3.2)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Outputs) -> Outputs:
        """[batch, time, ·] or packed."""
        return mapped(lambda data: dropout(data, self.rate, self.training), x)


class SequenceDropout(nn.Module):
    """The same units at all positions of a sequence (Gal & Ghahramani 2016 §4): "variational"."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Outputs) -> Outputs:
        """[batch, time, ·] or packed."""
        if not self.training or not self.rate:
            return x
        if isinstance(x, Tensor):
            return x * self._mask(x, len(x))[:, None]
        mask = self._mask(x.data, int(x.batch_sizes[0]))
        # At each position a packed batch holds the first so many sequences.
        rows = torch.cat([torch.arange(int(size), device=mask.device) for size in x.batch_sizes])
        return x._replace(data=x.data * mask[rows])

    def _mask(self, like: Tensor, num: int) -> Tensor:
        return dropout(like.new_ones(num, like.shape[-1]), self.rate)


def dropout_of(rate: float, variational: bool) -> PositionDropout | SequenceDropout:
    """The kind that a recipe names."""
    return SequenceDropout(rate) if variational else PositionDropout(rate)


def drop_recurrent_weights(stack: nn.RNNBase, rate: float) -> None:
    """From now on each training pass is without some of the weights between h and the next h (Merity et al. 2018 §2).

    The same ones at all positions; the parameters and their names stay as they are.
    """
    recurrent = [name.startswith("weight_hh") for name in stack._flat_weights_names]
    kept: list[Any] = []

    def drop(*_: object) -> None:
        kept[:] = stack._flat_weights
        if stack.training:
            pairs = zip(stack._flat_weights, recurrent, strict=True)
            stack._flat_weights = [
                dropout(weight, rate) if is_recurrent and weight is not None else weight
                for weight, is_recurrent in pairs
            ]

    def restore(*_: object) -> None:
        stack._flat_weights = kept[:]

    stack.register_forward_pre_hook(drop)
    stack.register_forward_hook(restore, always_call=True)


def mapped(change: Callable[[Tensor], Tensor], x: Outputs) -> Outputs:
    """What is done position by position is done to packed ones alike."""
    return x._replace(data=change(x.data)) if isinstance(x, PackedSequence) else change(x)
