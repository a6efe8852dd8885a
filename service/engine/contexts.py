"""Contexts of the last batch, kept stacked: a row is copied when it joins, not at every step.

slot      0    1    2    3                 0    1    2
before    a    b    c    d     b leaves,   a    e    c     one copy instead of three
steps     a    c    d    e     d leaves,
                               e joins
"""

from collections.abc import Mapping, Sequence

import numpy as np

from service.bundle.manifest import TensorSpec
from service.step import Array

Row = tuple[Array, ...]
"""The contexts of one step, in the order of the graph's context tensors."""


class Contexts:
    """Seats rows in slots. What lies in a slot beyond its row's own length is zero.

    The arrays are recognised by identity, and held while they are seated, so that none can be mistaken for another.
    """

    def __init__(self, tensors: Sequence[TensorSpec]) -> None:
        self._tensors = tensors
        self._held: list[Row] = []
        self._buffers: list[Array] = []
        self._padded: dict[str, int] = {}
        self._capacity = 0

    def seat(self, rows: Sequence[Row], padded: Mapping[str, int]) -> list[int]:
        """Seat the rows in the first slots, ragged axes at least as long as `padded`; returns who sits in each."""
        if not self._fits(len(rows), padded):
            self._clear(len(rows), padded)
        seats, homeless = self._stay(rows)
        self._held = []  # should a copy fail, nobody is taken for seated
        for slot, row in enumerate(seats):
            if row < 0:
                seats[slot] = row = homeless.pop()
                self._write(slot, rows[row])
        self._held = [rows[row] for row in seats]
        return seats

    def padded(self) -> dict[str, int]:
        """The lengths that the ragged axes have in the buffers: multiples of what they are rounded up to."""
        return self._padded

    def feeds(self) -> dict[str, Array]:
        """The stacked tensors of those who are seated, `[batch, …]`; the next `seat` overwrites them."""
        num = len(self._held)
        return {t.tensor: buffer[:num] for t, buffer in zip(self._tensors, self._buffers, strict=True)}

    def _fits(self, num: int, padded: Mapping[str, int]) -> bool:
        """Whether the buffers are large enough, and not so large that the padding costs more than a copy."""
        return num <= self._capacity and all(
            size <= self._padded[a] <= 2 * size for a, size in padded.items()
        )

    def _clear(self, num: int, padded: Mapping[str, int]) -> None:
        self._held = []
        self._padded = dict(padded)
        self._capacity = 1 << (num - 1).bit_length()
        self._buffers = [
            np.zeros(
                [padded.get(a, a) if isinstance(a, str) else a for a in (self._capacity, *t.axes[1:])],
                t.dtype,
            )
            for t in self._tensors
        ]

    def _stay(self, rows: Sequence[Row]) -> tuple[list[int], list[int]]:
        """Leave in their slots the rows that are there already: (slot → row or -1, rows without a slot)."""
        slots: dict[tuple[int, ...], list[int]] = {}
        for slot, held in enumerate(self._held[: len(rows)]):
            slots.setdefault(tuple(map(id, held)), []).append(slot)
        seats, homeless = [-1] * len(rows), []
        for index, row in enumerate(rows):
            if own := slots.get(tuple(map(id, row))):
                seats[own.pop()] = index
            else:
                homeless.append(index)
        return seats, homeless[::-1]

    def _write(self, slot: int, row: Row) -> None:
        for buffer, array in zip(self._buffers, row, strict=True):
            place(buffer[slot], array)


def place(target: Array, array: Array) -> None:
    """Copy an array into the corner of a larger one and fill the rest with zeros."""
    if target.shape != array.shape:
        target.fill(0)
        target = target[tuple(map(slice, array.shape))]
    target[...] = array
