"""A matrix with names for its rows and columns, and how its numbers become colours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


@dataclass(frozen=True)
class Matrix:
    """`values` `[rows, columns]`, as they are drawn."""

    title: str
    values: Array
    rows: Sequence[str]
    columns: Sequence[str]
    signed: bool = False
    """Whether values go from -1 to 1 (a cell) or from 0 to 1 (a gate, a weight)."""

    @property
    def shares(self) -> Array:
        """Values as 0 to 1. What a cell holds beyond -1 and 1 is drawn as far as the largest value."""
        if not self.signed:
            return np.clip(self.values, 0, 1)
        reach = max(1.0, float(np.abs(self.values).max(initial=0)))
        return (self.values / reach + 1) / 2


SHARES: tuple[Colour, ...] = ((16, 18, 32), (41, 64, 128), (33, 145, 140), (122, 209, 81), (253, 231, 37))
"""From 0 to 1: dark to bright, told apart by those who do not see red or green, too."""
SIGNS: tuple[Colour, ...] = ((33, 102, 172), (146, 197, 222), (247, 247, 247), (244, 165, 130), (178, 24, 43))
"""From -1 over 0 to 1: blue, white, red."""


def colours(signed: bool) -> Callable[[float], Colour]:
    """The colour of a share from 0 to 1."""
    stops = np.array(SIGNS if signed else SHARES, np.float64)

    def colour(share: float) -> Colour:
        at = np.clip(share, 0, 1) * (len(stops) - 1)
        low = min(int(at), len(stops) - 2)
        red, green, blue = (stops[low] + (stops[low + 1] - stops[low]) * (at - low)).round().astype(int)
        return int(red), int(green), int(blue)

    return colour
