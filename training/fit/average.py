"""The mean of several checkpoints' weights, which does better than each (Junczys-Dowmunt et al. 2016 §2.2)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from training.fit import checkpoints

Weights = dict[str, Tensor]


def average(paths: Sequence[Path]) -> Weights:
    """Mean weights of the checkpoints at `paths`, summed in float64."""
    models: list[Weights] = [checkpoints.load(path)["model"] for path in paths]
    return {name: _mean([model[name] for model in models]) for name in models[0]}


def mixed(weights: Weights, others: Weights, share: float) -> Weights:
    """As much of `others` as `share` says, the rest of `weights`; numbers that are not real stay those of `weights`."""
    return {name: _between(weight, others[name], share) for name, weight in weights.items()}


def _between(one: Tensor, other: Tensor, share: float) -> Tensor:
    return torch.lerp(one.double(), other.double(), share).to(one.dtype) if one.is_floating_point() else one


def _mean(tensors: list[Tensor]) -> Tensor:
    return torch.stack([tensor.double() for tensor in tensors]).mean(0).to(tensors[0].dtype)
