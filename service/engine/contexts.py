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
Key = tuple[int, ...]
"""The ids of a row's arrays."""


class Contexts:
    """Seats rows in slots. What lies in a slot beyond its row's own length is zero.

    The arrays are recognised by identity, and held while they are seated, so that none can be mistaken for another.
    """

    def __init__(self, tensors: Sequence[TensorSpec]) -> None:
        self._tensors = tensors
        self._held: list[Row] = []
        self._keys: list[Key] = []
        self._buffers: list[Array] = []
        self._padded: dict[str, int] = {}
        self._capacity = 0

    def seat(self, rows: Sequence[Row], padded: Mapping[str, int]) -> list[int]:
        """Seat the rows in the first slots, ragged axes at least as long as `padded`; returns who sits in each."""
        if not self._fits(len(rows), padded):
            self._clear(len(rows), padded)
        keys: list[Key] = [tuple(map(id, row)) for row in rows]
        seats, homeless = self._stay(keys)
        self._keys = []  # should a copy fail, nobody is taken for seated
        for slot, row in enumerate(seats):
            if row < 0:
                seats[slot] = row = homeless.pop()
                self._write(slot, rows[row])
        self._held = [rows[row] for row in seats]
        self._keys = [keys[row] for row in seats]
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
        capacity = 1 << (num - 1).bit_length()
        self._held, self._keys, self._buffers, self._capacity = [], [], [], 0
        self._buffers = [
            np.zeros([capacity, *(padded[a] if isinstance(a, str) else a for a in t.axes[1:])], t.dtype)
            for t in self._tensors
        ]
        self._padded, self._capacity = dict(padded), capacity

    def _stay(self, keys: Sequence[Key]) -> tuple[list[int], list[int]]:
        """Leave in their slots the rows that are there already: (slot → row or -1, rows without a slot)."""
        slots: dict[Key, list[int]] = {}
        for slot, key in enumerate(self._keys[: len(keys)]):
            slots.setdefault(key, []).append(slot)
        seats, homeless = [-1] * len(keys), []
        for index, key in enumerate(keys):
            if own := slots.get(key):
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
