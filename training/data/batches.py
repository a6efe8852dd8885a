"""Which examples run together, and the tensors they become.

Sources of a batch have exactly equal length unless a task asks for a coarser `grain`, so that nothing is padded or
packed on that side:

    length 4:  [ 17 203   9   2 ]      length 7:  [ 88  10  41 300   6   9   2 ]
               [ 51   6   9   2 ]                 [ 31   4  77  12  19   9   2 ]
"""

import random
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from service.bundle.tokenizer import PAD

Row = Sequence[int] | np.ndarray[Any, np.dtype[np.floating[Any]]]
"""Ids, or features [time, dim]."""


class Example(NamedTuple):
    """A source, and its target: BOS … EOS of a translation, the index of a label, values to come, …"""

    source: Row
    target: Row


class Batch(NamedTuple):
    """`source` [batch, source_time] ids or [batch, source_time, dim] features, `lengths` [batch] (on the CPU) of the
    sources, `target` [batch, target_time] or [batch, target_time, dim].
    """

    source: Tensor
    lengths: Tensor
    target: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same on a device; lengths stay where packing wants them."""
        return Batch(self.source.to(device), self.lengths, self.target.to(device))


Plan = list[list[int]]
ROUND = 16


def plan_batches(examples: Sequence[Example], max_tokens: int, grain: int = 1) -> Plan:
    """Indexes of each batch, shortest sources first: at most `max_tokens` positions, padding included.

    With a `grain` of 1 sources of a batch have one length; with more, lengths differ by less than `grain`: for sources
    so long that hardly two are equal.
    """
    order = sorted(range(len(examples)), key=lambda index: _lengths(examples[index]))
    return list(_cut(examples, order, max_tokens, grain))


def plan_epoch(examples: Sequence[Example], max_tokens: int, seed: int, epoch: int, grain: int = 1) -> Plan:
    """`plan_batches` in an order that depends on the seed and the epoch alone, with other batch-mates each epoch."""
    dice = random.Random(f"{seed}/{epoch}")
    order = list(range(len(examples)))
    dice.shuffle(order)
    order.sort(key=lambda index: _lengths(examples[index]))
    plan = list(_cut(examples, order, max_tokens, grain))
    dice.shuffle(plan)
    return plan


def share(plan: Plan, rank: int, world: int) -> Plan:
    """One process's part of a plan; all parts have as many batches, the few left over are dropped."""
    return plan[rank : len(plan) // world * world : world]


def collate(examples: Sequence[Example]) -> Batch:
    """The tensors of a batch, ids filled up with PAD and features with zeros."""
    lengths = torch.tensor([len(example.source) for example in examples])
    return Batch(pad([example.source for example in examples]), lengths, pad([x.target for x in examples]))


def pad(rows: Sequence[Row], filler: int = PAD) -> Tensor:
    """Rows side by side, filled up to the longest: [batch, time] of ids, or [batch, time, dim] of features."""
    tensors = [torch.as_tensor(row, dtype=_dtype(row)) for row in rows]
    return pad_sequence(tensors, batch_first=True, padding_value=filler)


def _lengths(example: Example) -> tuple[int, int]:
    return len(example.source), len(example.target)


def _cut(examples: Sequence[Example], order: list[int], max_tokens: int, grain: int) -> Iterator[list[int]]:
    for _, group in groupby(order, key=lambda index: len(examples[index].source) // grain):
        batch: list[int] = []
        width = 0
        for index in group:
            width = max(width, *_lengths(examples[index]))
            if len(batch) >= _room(width, max_tokens):
                yield batch
                batch, width = [], max(_lengths(examples[index]))
            batch.append(index)
        yield batch


def _room(width: int, max_tokens: int) -> int:
    """Rows of a batch; round numbers, because every other shape costs the kernels' preparation anew."""
    room = max(1, max_tokens // width)
    return room if room < ROUND else room // ROUND * ROUND


def _dtype(row: Row) -> torch.dtype:
    return torch.float32 if isinstance(row, np.ndarray) else torch.int64
