"""Series of readings, with a label each where there are labels."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from service.bundle.columns import Columns
from service.errors import InvalidInput
from training.config import SeriesData
from training.data.readers.files import DataError, lines, some

Array = np.ndarray[Any, np.dtype[Any]]


class Series(NamedTuple):
    """Readings `[time, dim]` float64 in their own units, and as many labels or none."""

    values: Array
    labels: tuple[str, ...]

    def part(self, first: float, last: float) -> slice:
        """The readings from one share of the series to another."""
        return slice(round(first * len(self.values)), round(last * len(self.values)))


def read_series(root: Path, files: tuple[str, ...], data: SeriesData) -> list[Series]:
    """A series for each file. Raises DataError if there is none."""
    paths = [path for name in files for path in sorted(root.glob(name))]
    return some([_series(path, data) for path in paths], files)


def _series(path: Path, data: SeriesData) -> Series:
    values: list[list[float]] = []
    labels: list[str] = []
    try:
        first, *rest = lines(path)
        readings, named = Columns.of(first, data.columns)
        labelled, _ = Columns.of(first, (data.label,)) if data.label else (None, True)
        for line in rest if named else (first, *rest):
            values.append(readings.numbers(line))
            labels += labelled.texts(line) if labelled else []
    except (InvalidInput, ValueError) as error:
        raise DataError(f"{path}: reading {len(values) + 1}: {error}") from error
    names = (data.label_names.get(label, label) for label in labels)
    return Series(np.array(values, np.float64).reshape(-1, len(data.columns)), tuple(names))
