"""Prediction: a label, or a forecast of what comes next, for each reading; of whole series, and as readings come in."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from service.bundle.scaling import Scaled, Scaler
from service.config import LimitSettings
from service.errors import InvalidInput, NotPossible
from service.registry import Served
from service.sessions import NOTHING_READ, Reading
from service.sessions.session import Pending
from service.step import Array, Arrays
from service.tasks.intake import Readings, Taken
from service.tasks.jobs import Program, run_all
from service.tasks.reader import Read, Reader
from service.tasks.said import PredictedStep, Said, label_scores
from service.tasks.signals import Kept, ReadingIntake, aside, checked_series, scaled

MAX_HORIZON = 1000


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is said to one series."""

    steps: tuple[PredictedStep, ...]
    ahead: Array
    """The readings after the last `[horizon, dim]`, in their own units."""


class Predictor:
    """Answers each feed with a step for each reading. Between feeds it keeps the last forecast: the next reading is
    measured by it.
    """

    max_inputs = None

    def __init__(self, served: Served, limits: LimitSettings) -> None:
        self.served = served
        self.reader = _reader(served)

    def intake(self, pending: Pending | None) -> ReadingIntake:
        return ReadingIntake(self.served.bundle.readings, pending)

    def say(
        self, taken: Taken, outputs: Sequence[Arrays], reading: Reading, pending: Pending | None
    ) -> tuple[Said, Pending | None]:
        kept = Kept(pending or {})
        before = kept.more.get("forecast")
        steps, last = _steps(self.served, taken.notes, outputs, None if before is None else np.array(before))
        more = {} if last is None else {"forecast": last.astype(float).tolist()}
        return Said(steps=tuple(steps)), kept.then(more)


async def predict(
    served: Served, series: Sequence[Readings], fields: Sequence[str], horizon: int = 0
) -> list[Prediction]:
    """In the order of the series; all or none. `fields` name them in what is refused."""
    _check_horizon(served, horizon)
    spec, checked = served.bundle.readings, []
    for one, field in zip(series, fields, strict=True):
        checked.append(checked_series(one, spec, field))
        _check_length(served, len(checked[-1]), field)
    taken = [await aside(len(one), partial(scaled, Scaler(spec), one)) for one in checked]
    found = await run_all(served.scheduler, [_prediction(_reader(served), one, horizon) for one in taken])
    return [
        await aside(len(one), partial(_told, served, one, *answers))
        for one, answers in zip(taken, found, strict=True)
    ]


def forecasts(served: Served) -> bool:
    """Whether it forecasts the next reading, and so has no labels."""
    return "forecast" in _reader(served).by_input


def _prediction(reader: Reader, taken: Taken, horizon: int) -> Program[tuple[Read, list[Array]]]:
    """What was read, and the forecasts [dim] after its end: each is read as if it had come."""
    read = yield from reader.read(taken.array, NOTHING_READ)
    last, ahead = read, []
    for number in range(horizon):
        ahead.append(last.outputs[-1]["forecast"][-1])
        if number + 1 < horizon:
            last = yield from reader.read(ahead[-1][None], last.reading)
    return read, ahead


def _told(served: Served, taken: Taken, read: Read, ahead: Sequence[Array]) -> Prediction:
    scaled: Scaled = taken.notes
    steps, _ = _steps(served, scaled, read.outputs, None)
    coming = np.array(ahead, np.float64).reshape(-1, served.bundle.readings.reading_dim)
    return Prediction(tuple(steps), coming * scaled.deviation[-1] + scaled.mean[-1])


def _steps(
    served: Served, scaled: Scaled, outputs: Sequence[Arrays], before: Array | None
) -> tuple[list[PredictedStep], Array | None]:
    """A step for each reading, and the last forecast; `before` is the one for the first reading, where there is one."""
    if not forecasts(served):
        rows = [row for each in outputs for row in each["log_probs"]]
        return [PredictedStep(label_scores(row, served.bundle.labels)) for row in rows], None
    steps, error_scale = [], np.array(served.bundle.readings.error_scale)
    for at, forecast in enumerate(row for each in outputs for row in each["forecast"]):
        score = 0.0 if before is None else _anomaly(scaled.before[at], before, error_scale)
        told = forecast * scaled.deviation[at] + scaled.mean[at]
        steps.append(PredictedStep(forecast=tuple(map(float, told)), anomaly_score=score))
        before = forecast
    return steps, before


def _anomaly(reading: Array, forecast: Array, error_scale: Array) -> float:
    errors = (reading.astype(np.float64) - forecast.astype(np.float64)) / error_scale
    return float(np.sqrt(np.square(errors).mean()))


def _check_horizon(served: Served, horizon: int) -> None:
    if not 0 <= horizon <= MAX_HORIZON:
        raise InvalidInput(f"horizon must be 0 to {MAX_HORIZON:,}, not {horizon}", field="horizon")
    if horizon and not forecasts(served):
        raise NotPossible(f"{served.manifest.name} says labels and forecasts nothing; leave out horizon")
    if horizon > 1 and not served.manifest.streams:
        raise NotPossible(f"{served.manifest.name} cannot go on from its own forecasts: it reads both ways")


def _check_length(served: Served, num_readings: int, field: str) -> None:
    limit = served.manifest.limits.max_input_tokens
    if num_readings > limit:
        raise InvalidInput(
            f"{field} has {num_readings:,} readings; {served.manifest.name} reads at most {limit:,} at once. Split it, "
            "or feed it to a session",
            field=field,
        )


def _reader(served: Served) -> Reader:
    return Reader.of(served.manifest, "predict", "features")
