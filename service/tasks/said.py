"""What a model says to what it was fed, as plain values, and as JSON for the log of a session's turns."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from service.step import Array


class LabelScore(NamedTuple):
    """A label and its probability."""

    label: str
    probability: float


class TaggedWord(NamedTuple):
    """A word, its label, and where it stands in the text: characters from `start` up to `end`."""

    word: str
    label: str
    probability: float
    start: int
    end: int


class HeardToken(NamedTuple):
    """A token that was heard, the text it adds, and after how many seconds it was certain."""

    id: int
    piece: str
    seconds: float


class PredictedStep(NamedTuple):
    """What a model says to one reading: labels, most probable first, or a forecast of the next."""

    labels: tuple[LabelScore, ...] = ()
    forecast: tuple[float, ...] = ()
    anomaly_score: float = 0.0
    """How far the reading was from its forecast, in standard deviations of the errors on the training data."""


class NamedTensor(NamedTuple):
    """A tensor of one session."""

    name: str
    array: Array


class Trace(NamedTuple):
    """What one tensor inside a model was: `values` `[time, units]`, float32."""

    name: str
    units: tuple[int, ...]
    values: Array


@dataclass(frozen=True, slots=True)
class Said:
    """What a feed is answered with; each kind of model fills its own part."""

    labels: tuple[LabelScore, ...] = ()
    """Of the text so far."""
    words: tuple[TaggedWord, ...] = ()
    heard: tuple[HeardToken, ...] = ()
    steps: tuple[PredictedStep, ...] = ()
    tensors: tuple[NamedTensor, ...] = ()
    traces: tuple[Trace, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON values, of the parts that are there."""
        kept: dict[str, Any] = {
            "labels": _rows(self.labels),
            "words": _rows(self.words),
            "heard": _rows(self.heard),
            "steps": [[_rows(s.labels), list(s.forecast), s.anomaly_score] for s in self.steps],
            "tensors": [[t.name, str(t.array.dtype), t.array.shape, _text(t.array)] for t in self.tensors],
            "traces": [[t.name, list(t.units), _text(t.values)] for t in self.traces],
        }
        return {name: rows for name, rows in kept.items() if rows}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """What `to_json` wrote down, bit for bit."""
        return cls(
            labels=_labels(kept.get("labels", ())),
            words=tuple(TaggedWord(*row) for row in kept.get("words", ())),
            heard=tuple(HeardToken(*row) for row in kept.get("heard", ())),
            steps=tuple(
                PredictedStep(_labels(labels), tuple(forecast), anomaly)
                for labels, forecast, anomaly in kept.get("steps", ())
            ),
            tensors=tuple(
                NamedTensor(name, _array(text, dtype).reshape(shape))
                for name, dtype, shape, text in kept.get("tensors", ())
            ),
            traces=tuple(
                Trace(name, tuple(units), _array(text, "float32").reshape(-1, len(units)))
                for name, units, text in kept.get("traces", ())
            ),
        )


NOTHING_SAID = Said()


def label_scores(log_probs: Array, labels: tuple[str, ...]) -> tuple[LabelScore, ...]:
    """All labels by log-probability `[labels]`, most probable first, equal ones as the model has them."""
    probabilities = np.exp(log_probs.astype(np.float64)).tolist()
    order = sorted(range(len(probabilities)), key=probabilities.__getitem__, reverse=True)
    return tuple(LabelScore(labels[i], probabilities[i]) for i in order)


def _rows(values: tuple[tuple[Any, ...], ...]) -> list[list[Any]]:
    return [list(value) for value in values]


def _labels(rows: Any) -> tuple[LabelScore, ...]:
    return tuple(LabelScore(*row) for row in rows)


def _text(array: Array) -> str:
    """Its bytes in base64: what is not a number comes back as it was, too."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _array(text: str, dtype: str) -> Array:
    return np.frombuffer(base64.b64decode(text), dtype)
