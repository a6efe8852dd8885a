"""Which units of a trace tell most: those that are lowest where a kind of character stands, and high elsewhere."""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from service.cli.looking.matrix import Array, Matrix

EACH = 3
"""Units of each kind of character."""
LINE_END = "↵"
SPACE = "␣"


def telling(matrix: Matrix) -> Matrix:
    """Of all units the three that are lowest at line ends beside elsewhere, then at spaces, marks and capitals.

    Kinds that the text does not have are left out, and no unit stands for two of them. A text of one kind has none that
    tell: then the units are those that vary most.
    """
    kinds = np.array([kind_of(name) for name in matrix.columns])
    rows: list[int] = []
    for kind in ("line end", "space", "mark", "capital"):
        here = kinds == kind
        if here.any() and not here.all():
            fall = matrix.values[:, ~here].mean(axis=1) - matrix.values[:, here].mean(axis=1)
            rows += _first(-fall, EACH, rows)
    rows = rows or _first(-matrix.values.std(axis=1), 4 * EACH, rows)
    title = f"{matrix.title.partition(' of ')[0]} of the {len(rows)} units that tell most"
    return replace(matrix, title=title, values=matrix.values[rows], rows=[matrix.rows[row] for row in rows])


def kind_of(name: str) -> str:
    """What a column stands for: its first character."""
    if name[0] == LINE_END:
        return "line end"
    if name[0] == SPACE:
        return "space"
    category = unicodedata.category(name[0])
    return {"P": "mark", "S": "mark"}.get(category[0], "capital" if category == "Lu" else "letter")


def _first(keys: Array, num: int, taken: Sequence[int]) -> list[int]:
    """Rows with the smallest keys that are not taken; equal ones in their order."""
    free = [int(row) for row in np.argsort(keys, kind="stable") if row not in taken]
    return free[:num]
