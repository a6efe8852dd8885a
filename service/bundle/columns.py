"""Readings in lines of CSV: the first line names the columns, or there is none and every column is wanted."""

import csv
import math
from collections.abc import Sequence
from typing import Self

from service.errors import InvalidInput


class Columns:
    """Where the wanted columns stand in a line.

    A line may have one cell more than the first line has names: the number of the line, which stands first.
    """

    def __init__(self, names: Sequence[str], places: Sequence[int], width: int) -> None:
        self._names, self._places, self._width = tuple(names), tuple(places), width

    @classmethod
    def of(cls, line: str, names: Sequence[str]) -> tuple[Self, bool]:
        """By the first line; and whether it names the columns, so that it is no reading. InvalidInput for any other."""
        found = cells(line)
        if set(names) <= set(found):
            return cls(names, [found.index(name) for name in names], len(found)), True
        if len(found) == len(names) and all(map(is_number, found)):
            return cls(names, range(len(names)), len(names)), False
        if missing := [name for name in names if name not in found] if set(names) & set(found) else []:
            raise InvalidInput(f"the first line names no {', '.join(missing)}; expected {', '.join(names)}")
        raise InvalidInput(
            f"the first line is {line[:200]!r}; expected the names of the columns, {', '.join(names)} among them, or a "
            "number for each of these"
        )

    def texts(self, line: str) -> list[str]:
        """The wanted cells."""
        found = cells(line)
        extra = len(found) - self._width
        if extra not in (0, 1):
            raise InvalidInput(f"{len(found)} cells, expected {self._width}")
        return [found[place + extra] for place in self._places]

    def numbers(self, line: str) -> list[float]:
        """The wanted cells as finite numbers."""
        texts = self.texts(line)
        for name, text in zip(self._names, texts, strict=True):
            if not is_number(text):
                raise InvalidInput(f"{name} is {text!r}; expected a number")
        return [float(text) for text in texts]


def cells(line: str) -> list[str]:
    """The cells of a line, without quotes and white space around them; InvalidInput where it is no line of CSV."""
    try:
        return [cell.strip() for row in csv.reader([line], skipinitialspace=True) for cell in row]
    except csv.Error:
        raise InvalidInput(f"{line[:40]!r} is not a line of CSV") from None


def is_number(text: str) -> bool:
    """Whether it is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
