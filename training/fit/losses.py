"""Smoothed cross entropy over a large vocabulary, with its gradient computed in the forward pass."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from service.bundle.tokenizer import PAD


class _Smoothed(torch.autograd.Function):
    """Logits are never kept: the gradient, softmax(z) - q, is there as soon as they are (and in bf16 half the size)."""

    @staticmethod
    def forward(
        ctx: Any,
        readouts: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        smoothing: float,
        dtype: torch.dtype,
    ) -> Tensor:
        low, table = readouts.to(dtype), weight.to(dtype)
        logits = (low @ table.t()).float() + bias
        gold, mean, norm = logits.gather(1, targets[:, None])[:, 0], logits.mean(-1), logits.logsumexp(-1)
        slope = logits.sub_(norm[:, None]).exp_().sub_(smoothing / logits.shape[1])
        slope.scatter_add_(1, targets[:, None], slope.new_full((len(targets), 1), smoothing - 1))
        real = targets != PAD
        ctx.save_for_backward(low, table, slope.mul_(real[:, None]).to(dtype))
        return (norm - (1 - smoothing) * gold - smoothing * mean)[real].sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        low, table, slope = ctx.saved_tensors
        by_readouts, by_weight = (slope @ table).float() * grad, (slope.t() @ low).float() * grad
        return by_readouts, by_weight, slope.sum(0, dtype=torch.float32) * grad, None, None, None


def smoothed_cross_entropy(
    readouts: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float
) -> Tensor:
    """Summed loss of `targets` [n] under softmax(weight readout + bias), `readouts` [n, embedding]; PAD costs nothing.

    The target distribution gives 1 - smoothing to the right subword and spreads the rest evenly over the
    vocabulary (Szegedy et al. 2016 §7).
    """
    kind = readouts.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
    loss: Tensor = _Smoothed.apply(readouts, weight, bias, targets, smoothing, dtype)  # type: ignore[no-untyped-call]
    return loss
