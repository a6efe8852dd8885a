"""An exponential moving average of the weights, which is evaluated and kept in their place (Polyak & Juditsky 1992)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """w̄ ← d w̄ + (1 - d) w after each update, where d rises to the decay: min(decay, (1 + n) / (10 + n)) after n."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._decay = decay
        self._num = 0
        self._mean = [parameter.detach().clone() for parameter in self._parameters] if decay else []

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now."""
        if self._decay:
            decay = min(self._decay, (1 + self._num) / (10 + self._num))
            torch._foreach_lerp_(self._mean, list[Tensor](self._parameters), 1 - decay)
            self._num += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the mean weights while inside."""
        own = [parameter.detach().clone() for parameter in self._parameters] if self._decay else []
        self._put(self._mean)
        try:
            yield
        finally:
            self._put(own)

    def state(self) -> dict[str, int | list[Tensor]]:
        """Tensors and plain values."""
        return {"num": self._num, "mean": self._mean}

    def restore(self, state: dict[str, int | list[Tensor]] | None) -> None:
        """Go on from `state`; begin with the weights as they are where there is none."""
        if not self._decay:
            return
        mean = state["mean"] if state else []
        assert isinstance(mean, list)
        for own, kept in zip(self._mean, mean or self._parameters, strict=True):
            own.copy_(kept.detach())
        self._num = int(state["num"]) if state and not isinstance(state["num"], list) else 0

    @torch.no_grad()
    def _put(self, weights: list[Tensor]) -> None:
        for parameter, weight in zip(self._parameters, weights, strict=bool(weights)):
            parameter.copy_(weight)
