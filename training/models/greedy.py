"""Greedy translation of a batch, for scores on dev while training."""

from typing import Protocol, TypeVar

import torch
from torch import Tensor

from service.bundle.tokenizer import EOS, PAD
from training.modules.cells import State

M = TypeVar("M")


class Writer(Protocol[M]):
    """What writes a token at a time."""

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[M, State]: ...

    def step(self, token: Tensor, state: State, memory: M) -> tuple[Tensor, State, Tensor]: ...

    def first_token(self, batch: int, device: torch.device) -> Tensor: ...


@torch.no_grad()
def translate(model: Writer[M], source: Tensor, lengths: Tensor, max_length: int = 60) -> list[list[int]]:
    """The likeliest next subword, again and again until EOS, for each row of `source` [batch, time]."""
    memory, state = model.encode(source, lengths)
    token = model.first_token(len(source), source.device)
    done = torch.zeros(len(source), dtype=torch.bool, device=source.device)
    written: list[Tensor] = []
    while not done.all() and len(written) < max_length:
        logits, state, _ = model.step(token, state, memory)
        token = logits.argmax(-1).masked_fill(done, PAD)
        done = done | (token == EOS)
        written.append(token)
    rows = torch.stack(written, dim=1).tolist()
    return [[token for token in row if token not in (EOS, PAD)] for row in rows]
