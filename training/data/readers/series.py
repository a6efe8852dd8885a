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

    def learned(self, data: SeriesData) -> list[slice]:
        """What of a series of train is learned from."""
        part, held = self.part(*data.train_part), self._held(data) if data.hold_out else []
        starts = [part.start, *(one.stop for one in held)]
        stops = [*(one.start for one in held), part.stop]
        return [slice(start, stop) for start, stop in zip(starts, stops, strict=True) if start < stop]

    def judged(self, data: SeriesData) -> list[slice]:
        """What of a series of dev is selected on, or of a series of train where dev is held out of it."""
        return self._held(data) if data.hold_out else [self.part(*data.dev_part)]

    def _held(self, data: SeriesData) -> list[slice]:
        part, size = self.part(*data.train_part), data.window
        first = part.start + (data.hold_out - 1) * size
        return [slice(at, min(at + size, part.stop)) for at in range(first, part.stop, data.hold_out * size)]


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
