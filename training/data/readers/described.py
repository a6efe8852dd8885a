"""Feature vectors with descriptions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from training.config import DescribedData
from training.data.readers.files import DataError, entry_of, lines, some

Array = np.ndarray[Any, np.dtype[Any]]


class Described(NamedTuple):
    """A vector `[dim]` float32, and what it shows."""

    vector: Array
    text: str


def read_described(root: Path, files: tuple[str, ...], data: DescribedData) -> list[Described]:
    """The vectors of these files in turn, all of one size. Raises DataError if there is none."""
    found = some([example for name in files for example in _described(root / name, data)], files)
    sizes = {len(example.vector) for example in found}
    if len(sizes) > 1:
        raise DataError(f"{', '.join(files)}: vectors of {min(sizes)} and of {max(sizes)} numbers")
    return found


def _described(path: Path, data: DescribedData) -> Iterator[Described]:
    for number, line in enumerate(lines(path), 1):
        entry = entry_of(path, number, line, (data.vector, data.text))
        try:
            vector = np.array(entry[data.vector], np.float32)
        except (TypeError, ValueError):
            vector = np.zeros(0, np.float32)
        if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all():
            raise DataError(f"{path}:{number}: {data.vector} is no list of numbers")
        yield Described(vector, str(entry[data.text]))
