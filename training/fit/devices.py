"""Where training runs: one CPU, one GPU, or several processes started by torchrun."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import distributed


class Place(NamedTuple):
    """This process's device and its place among the processes."""

    device: torch.device
    rank: int
    world: int

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether `device` has instructions for it: a CPU without is slower by it, without AVX-512 it has no LSTM in it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    return not torch.cpu._is_avx512_supported() or torch.cpu._is_avx512_bf16_supported()


@contextmanager
def placed(threads: int) -> Iterator[Place]:
    """Joins the other processes when torchrun started this one, and leaves them at the end."""
    torch.set_num_threads(threads)
    if "WORLD_SIZE" not in os.environ:
        yield Place(_device(0), 0, 1)
        return
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Place(
            _device(int(os.environ["LOCAL_RANK"])), distributed.get_rank(), distributed.get_world_size()
        )
    finally:
        distributed.destroy_process_group()


def total(place: Place, *values: float) -> list[float]:
    """Sum of each number over the processes."""
    if place.world == 1:
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64, device=place.device)
    distributed.all_reduce(tensor)
    return [float(value) for value in tensor]


def barrier(place: Place) -> None:
    """Waits until every process is here."""
    total(place, 0.0)


def _device(index: int) -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(index)
    return torch.device("cuda", index)
