"""Which examples run together, and the tensors they become.

Sources of a batch have exactly equal length, so that nothing is padded or packed on that side:

    length 4:  [ 17 203   9   2 ]      length 7:  [ 88  10  41 300   6   9   2 ]
               [ 51   6   9   2 ]                 [ 31   4  77  12  19   9   2 ]
"""

import random
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from service.bundle.tokenizer import PAD


class Example(NamedTuple):
    """Ids of a source and of its target: BOS … EOS of a translation, or the index of a label."""

    source: list[int]
    target: list[int]


class Batch(NamedTuple):
    """`source` [batch, source_time], `lengths` [batch] (on the CPU), `target` [batch, target_time]."""

    source: Tensor
    lengths: Tensor
    target: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same on a device; lengths stay where packing wants them."""
        return Batch(self.source.to(device), self.lengths, self.target.to(device))


Plan = list[list[int]]
ROUND = 16


def plan_batches(examples: Sequence[Example], max_tokens: int) -> Plan:
    """Indexes of each batch, shortest sources first: equal sources' length, at most `max_tokens` positions."""
    order = sorted(range(len(examples)), key=lambda index: _lengths(examples[index]))
    return list(_cut(examples, order, max_tokens))


def plan_epoch(examples: Sequence[Example], max_tokens: int, seed: int, epoch: int) -> Plan:
    """`plan_batches` in an order that depends on the seed and the epoch alone, with other batch-mates each epoch."""
    dice = random.Random(f"{seed}/{epoch}")
    order = list(range(len(examples)))
    dice.shuffle(order)
    order.sort(key=lambda index: _lengths(examples[index]))
    plan = list(_cut(examples, order, max_tokens))
    dice.shuffle(plan)
    return plan


def share(plan: Plan, rank: int, world: int) -> Plan:
    """One process's part of a plan; all parts have as many batches, the few left over are dropped."""
    return plan[rank : len(plan) // world * world : world]


def collate(examples: Sequence[Example]) -> Batch:
    """The tensors of a batch, filled up with PAD."""
    lengths = torch.tensor([len(example.source) for example in examples])
    return Batch(_pad([example.source for example in examples]), lengths, _pad([x.target for x in examples]))


def _lengths(example: Example) -> tuple[int, int]:
    return len(example.source), len(example.target)


def _cut(examples: Sequence[Example], order: list[int], max_tokens: int) -> Iterator[list[int]]:
    for _, group in groupby(order, key=lambda index: len(examples[index].source)):
        batch: list[int] = []
        for index in group:
            width = max(_lengths(examples[index]))  # targets grow within a group: the last is the widest
            if len(batch) >= _room(width, max_tokens):
                yield batch
                batch = []
            batch.append(index)
        yield batch


def _room(width: int, max_tokens: int) -> int:
    """Rows of a batch; round numbers, because every other shape costs the kernels' preparation anew."""
    room = max(1, max_tokens // width)
    return room if room < ROUND else room // ROUND * ROUND


def _pad(rows: list[list[int]]) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [PAD] * (width - len(row)) for row in rows])
