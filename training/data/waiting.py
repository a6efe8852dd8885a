"""Which part of the source each target position sees under wait-k; `service.bundle.waiting` says what a word is."""

import torch
from torch import Tensor

from service.bundle.waiting import num_visible


def visible(source: Tensor, target: Tensor, starts: Tensor, wait: int) -> Tensor:
    """`source` [batch, source_time], wanted `target` [batch, time], `starts` [vocab] to [batch, time, source_time].

    With k = 2, source "ein Haus </s>" and target "a house </s>":

                ein  Haus  </s>
        a         x     x
        house     x     x     x
        </s>      x     x     x
    """
    read, written = _words(source, starts), _words(target, starts)
    return read[:, None, :] <= num_visible_of(written, wait)[:, :, None]


def _words(tokens: Tensor, starts: Tensor) -> Tensor:
    """In which word each token stands, from 1: [batch, time]. The first token begins one, whatever it is."""
    begins = starts[tokens].long()
    begins[:, 0] = 1
    return begins.cumsum(1)


def num_visible_of(words: Tensor, wait: int) -> Tensor:
    """`num_visible` of many words at once."""
    return words + num_visible(0, wait)


def draw_wait(waits: tuple[int, int], whole: int) -> int:
    """A k evenly between `waits`; for the last of them, `whole` (Elbayad et al. 2020 §3: one model for all k)."""
    first, last = waits
    wait = int(torch.randint(first, last + 1, ()))
    return whole if wait == last else wait
