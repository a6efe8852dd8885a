"""Readings brought to a common size before a model sees them, one after the other: the same however they are cut."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from service.bundle.features import ReadingsSpec

Array = np.ndarray[Any, np.dtype[Any]]

LEAST_SHARE = 1e-3
"""A running deviation counts as at least this share of the mean, so that a series that never moved has a measure."""
LEAST = 1e-9
SETTLED = 10
"""Readings before which a running scale says little: until then each is measured by the scale it bears on itself."""
FARTHEST = 20.0
"""Deviations beyond which a reading of a running scale counts as no further away."""


class Scaled(NamedTuple):
    """Readings `[time, dim]` in units of the scale; float32 but for what belongs to the scale itself."""

    values: Array
    """What the model reads."""
    before: Array
    """The same readings in the scale that the reading before them had: what a forecast is compared with."""
    mean: Array
    """The scale at each reading, float64: a forecast made there times `deviation` plus `mean` has the data's units."""
    deviation: Array


class Recent:
    """Means of the recent past of a series: each forgets half of what it knew within its half-life, in readings."""

    def __init__(self, half_lives: Sequence[float], means: Any = None) -> None:
        self._shares = 1 - 0.5 ** (1 / np.array(half_lives, np.float64)[:, None])
        self._means = None if means is None else np.array(means, np.float64)

    def distances(self, readings: Array) -> Array:
        """Of readings `[time, dim]` from each mean, the reading itself included: `[time, means * dim]`."""
        found = np.zeros((len(readings), len(self._shares), readings.shape[1]))
        for at, reading in enumerate(readings):
            means = reading[None] if self._means is None else self._means
            self._means = means + self._shares * (reading - means)
            found[at] = reading - self._means
        return found.reshape(len(readings), len(self._shares) * readings.shape[1])

    def pending(self) -> Any:
        """The means as plain JSON values; None before the first reading."""
        return None if self._means is None else self._means.tolist()


class Scaler:
    """Scales a series piece by piece.

    With a running scale each reading is measured by the mean and deviation of all readings up to it (Welford 1962),
    in float64 and one after the other, so that the cuts between the pieces do not matter. So is a recent one: a reading
    becomes its distances from means that forget, which start at the first reading.
    """

    def __init__(self, spec: ReadingsSpec, pending: Mapping[str, Any] | None = None) -> None:
        self._spec = spec
        self._fixed = spec.scaling == "fixed"
        state = pending or {}
        self._count = int(state.get("count", 0))
        zeros = [0.0] * spec.reading_dim
        self._mean = np.array(state.get("mean", spec.mean or zeros), np.float64)
        self._squares = np.array(state.get("squares", zeros), np.float64)
        self._recent = Recent(spec.half_lives, state.get("recent"))

    def scale(self, readings: Array) -> Scaled:
        """`readings` [time, dim] in the data's units."""
        readings = readings.astype(np.float64)
        if self._spec.scaling == "recent":
            return self._distances(readings)
        if not self._fixed:
            return self._running(readings)
        deviation = np.array(self._spec.scale)
        values = ((readings - self._mean) / deviation).astype(np.float32)
        means, deviations = (np.broadcast_to(each, values.shape) for each in (self._mean, deviation))
        return Scaled(values, values, means, deviations)

    def pending(self) -> dict[str, Any]:
        """What has to be kept between two pieces, as plain JSON values."""
        if self._fixed:
            return {}
        if self._spec.scaling == "recent":
            return {"recent": self._recent.pending()}
        return {"count": self._count, "mean": self._mean.tolist(), "squares": self._squares.tolist()}

    def _running(self, readings: Array) -> Scaled:
        scaled = Scaled(
            *(np.zeros(readings.shape, dtype) for dtype in (np.float32, np.float32, float, float))
        )
        for at, reading in enumerate(readings):
            settled = self._count >= SETTLED
            if settled:
                scaled.before[at] = self._measured(reading)
            self._count += 1
            distance = reading - self._mean
            self._mean = self._mean + distance / self._count
            self._squares = self._squares + distance * (reading - self._mean)
            scaled.values[at] = self._measured(reading)
            if not settled:
                scaled.before[at] = scaled.values[at]
            scaled.mean[at], scaled.deviation[at] = self._mean, self._deviation()
        return scaled

    def _distances(self, readings: Array) -> Scaled:
        """Only labels are said to what is scaled so; there is no way back to the data's units."""
        far = self._recent.distances(readings) / np.array(self._spec.scale)
        values = np.clip(far, -FARTHEST, FARTHEST).astype(np.float32)
        return Scaled(values, values, np.zeros(readings.shape), np.ones(readings.shape))

    def _measured(self, reading: Array) -> Array:
        return np.clip((reading - self._mean) / self._deviation(), -FARTHEST, FARTHEST)

    def _deviation(self) -> Array:
        least = LEAST_SHARE * np.abs(self._mean) + LEAST
        return np.maximum(np.sqrt(self._squares / self._count), least)
