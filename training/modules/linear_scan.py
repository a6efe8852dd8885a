"""The recurrence h[t] = keep[t] · h[t-1] + add[t], element by element, with its gradient.

There is no matrix in it, so a step is one pass over [batch, hidden]. A loop over the positions is written out both ways
here: left to autograd, each step would be a node of its own, several times as slow.

Positions lie as in a PackedSequence, by time and within that by row, the longest rows first:

    row 0   a b c        positions   a A x  b B  c
    row 1   A B          sizes       3      2    1
    row 2   x
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor


def linear_scan(
    keep: Tensor, add: Tensor, first: Tensor, sizes: Sequence[int], *, backward: bool = False
) -> tuple[Tensor, Tensor]:
    """`keep`, `add` [positions, hidden] and the first h [batch, hidden] to every h after it, and the last of each row.

    `backward` begins at each row's end. In float32, since errors of a step go on into all that follow.
    """
    found: tuple[Tensor, Tensor] = _Scan.apply(keep.float(), add.float(), first.float(), sizes, backward)  # type: ignore[no-untyped-call]
    return found


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any, keep: Tensor, add: Tensor, first: Tensor, sizes: Sequence[int], backward: bool
    ) -> tuple[Tensor, Tensor]:
        spans = list(_spans(sizes))[:: -1 if backward else 1]
        last, before, after = first.clone(), torch.empty_like(add), torch.empty_like(add)
        for span, size in spans:
            before[span] = last[:size]
            torch.addcmul(add[span], keep[span], before[span], out=after[span])
            last[:size] = after[span]
        context.save_for_backward(keep, before)
        context.spans = spans
        return after, last

    @staticmethod
    def backward(context: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (keep, before), (after, last) = context.saved_tensors, grads
        carried, added = last.clone(), torch.empty_like(keep)
        for span, size in reversed(context.spans):
            torch.add(after[span], carried[:size], out=added[span])
            torch.mul(added[span], keep[span], out=carried[:size])
        return added * before, added, carried, None, None


def _spans(sizes: Sequence[int]) -> Iterator[tuple[slice, int]]:
    """Where the positions of each time lie, and how many rows there are then."""
    start = 0
    for size in sizes:
        yield slice(start, start + size), size
        start += size
