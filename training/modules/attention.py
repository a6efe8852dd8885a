"""How a decoder looks at the encoder's outputs."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

MASKED = -1e9


class Memory(NamedTuple):
    """What is fixed while a target is written.

    `outputs` [batch, source_time, encoder], `keys` [batch, source_time, attention], `mask` [batch, source_time], or
    [batch, time, source_time] where each target position sees another part of the source.
    """

    outputs: Tensor
    keys: Tensor
    mask: Tensor


class NoAttention(nn.Module):
    """The source reaches the decoder through its first state alone (Sutskever et al. 2014)."""

    before_cell = False

    def __init__(self, encoder: int, hidden: int) -> None:
        super().__init__()
        self.size = 0

    def project(self, outputs: Tensor) -> Tensor:
        """Keys nobody asks for: [batch, source_time, 0]."""
        return outputs[..., :0]

    def forward(self, hidden: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """An empty context [batch, time, 0] and no weight anywhere [batch, time, source_time]."""
        return hidden[..., :0], hidden.new_zeros(*hidden.shape[:2], memory.mask.shape[-1])


class DotAttention(nn.Module):
    """score(h, s) = hᵀ s, after the cell (Luong et al. 2015 §3.1, "dot"); h and s have to be of one size."""

    before_cell = False

    def __init__(self, encoder: int, hidden: int) -> None:
        super().__init__()
        if encoder != hidden:
            raise ValueError(f"luong-dot compares h of {hidden} with encoder outputs of {encoder}")
        self.size = encoder

    def project(self, outputs: Tensor) -> Tensor:
        """The outputs as they are: [batch, source_time, encoder]."""
        return outputs

    def forward(self, hidden: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """`hidden` [batch, time, hidden] to context [batch, time, encoder], weights [batch, time, source_time]."""
        return look(torch.bmm(hidden, memory.keys.transpose(1, 2)), memory)


class LuongAttention(nn.Module):
    """score(h, s) = hᵀ W s, after the cell (Luong et al. 2015 §3.1, "general").

    Weights: `key.weight` [hidden, encoder], no bias.
    """

    before_cell = False

    def __init__(self, encoder: int, hidden: int) -> None:
        super().__init__()
        self.size = encoder
        self.key = nn.Linear(encoder, hidden, bias=False)

    def project(self, outputs: Tensor) -> Tensor:
        """W s of every source position: [batch, source_time, hidden]."""
        keys: Tensor = self.key(outputs)
        return keys

    def forward(self, hidden: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """`hidden` [batch, time, hidden] to context [batch, time, encoder], weights [batch, time, source_time]."""
        return look(torch.bmm(hidden, memory.keys.transpose(1, 2)), memory)


class AdditiveAttention(nn.Module):
    """score(h, s) = vᵀ tanh(W h + U s).

    Weights: `query.weight` W [hidden, hidden], `key.weight` U [hidden, encoder], `energy.weight` v [1, hidden],
    no biases.
    """

    before_cell: bool

    def __init__(self, encoder: int, hidden: int) -> None:
        super().__init__()
        self.size = encoder
        self.query = nn.Linear(hidden, hidden, bias=False)
        self.key = nn.Linear(encoder, hidden, bias=False)
        self.energy = nn.Linear(hidden, 1, bias=False)

    def project(self, outputs: Tensor) -> Tensor:
        """U s of every source position: [batch, source_time, hidden]."""
        keys: Tensor = self.key(outputs)
        return keys

    def forward(self, hidden: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """`hidden` [batch, time, hidden] to context [batch, time, encoder], weights [batch, time, source_time]."""
        mixed = torch.tanh(self.query(hidden)[:, :, None] + memory.keys[:, None])
        return look(self.energy(mixed)[..., 0], memory)


class BahdanauAttention(AdditiveAttention):
    """With h before the cell (Bahdanau et al. 2015 §3.1 and A.1.2)."""

    before_cell = True


class ConcatAttention(AdditiveAttention):
    """With h after the cell (Luong et al. 2015 §3.1, "concat": W and U are the halves of their matrix)."""

    before_cell = False


Attention = NoAttention | DotAttention | LuongAttention | AdditiveAttention

ATTENTIONS: dict[str, type[Attention]] = {
    "none": NoAttention,
    "luong": LuongAttention,
    "luong-dot": DotAttention,
    "luong-concat": ConcatAttention,
    "bahdanau": BahdanauAttention,
}


def look(scores: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    """Softmax of `scores` [batch, time, source_time] over real positions, and the outputs weighted by it."""
    mask = memory.mask if memory.mask.dim() == 3 else memory.mask[:, None]
    weights = torch.softmax(scores.float().masked_fill(~mask, MASKED), dim=-1)
    return torch.bmm(weights.to(memory.outputs.dtype), memory.outputs), weights
