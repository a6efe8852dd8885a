"""Prediction: what is said to each reading of a series, a label or the reading that comes next."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, huber_loss

from service.bundle.features import ReadingsSpec
from service.bundle.scaling import Recent, Scaler
from training.config import PredictionRecipe, SeriesData
from training.data.batches import Batch, Example
from training.data.readers import DataError
from training.data.readers.series import Series, read_series
from training.data.vocabulary import Vocabulary
from training.fit.tasks.base import Objective, Task
from training.models.stepwise import Stepwise
from training.modules.encoder import position_mask

Array = np.ndarray[Any, np.dtype[Any]]


class LabelObjective(Objective[Stepwise]):
    """Summed loss of every reading's label; smoothed while training only."""

    def __init__(self, model: Stepwise, smoothing: float) -> None:
        super().__init__(model)
        self.smoothing = smoothing

    def forward(self, batch: Batch) -> Tensor:
        logits = self.model(batch.source, batch.lengths).float()
        mask = position_mask(batch.lengths, logits.shape[1], logits.device)
        smoothing = self.smoothing if self.training else 0.0
        return cross_entropy(logits[mask], batch.target[mask], label_smoothing=smoothing, reduction="sum")

    def count(self, batch: Batch) -> int:
        """Readings."""
        return int(batch.lengths.sum())


class ForecastObjective(Objective[Stepwise]):
    """Summed loss of every number forecast: squared errors, of which large ones count linearly (Huber 1964, k = 1)."""

    def forward(self, batch: Batch) -> Tensor:
        forecast = self.model(batch.source, batch.lengths).float()
        mask = position_mask(batch.lengths, forecast.shape[1], forecast.device)
        return huber_loss(forecast[mask], batch.target[mask], reduction="sum")

    def count(self, batch: Batch) -> int:
        """Numbers."""
        return int(batch.lengths.sum()) * batch.source.shape[2]


class Prediction(Task[PredictionRecipe, Stepwise]):
    """Windows of series: a target has each reading's label, or the reading after it in the scale of this one."""

    def __init__(self, recipe: PredictionRecipe, root: Path, given: Vocabulary) -> None:
        super().__init__(recipe, root, given)
        data = recipe.data
        train, dev = (read_series(root, files, data) for files in (data.train, data.dev or data.train))
        labels = sorted({label for series in train for label in series.labels})
        self.vocabulary = Vocabulary(labels=labels, features=given.features or measured(train, data))
        learned = [series.learned(data) for series in train]
        judged = [series.judged(data) for series in dev]
        self.train = self._windows(train, learned, data.window, max(1, data.window // 2))
        self.dev = self._windows(dev, judged, 10**9, 10**9)

    def objective(self) -> Objective[Stepwise]:
        model = Stepwise.predicting(self._recipe, self.vocabulary)
        if self.vocabulary.labels:
            return LabelObjective(model, self._recipe.training.label_smoothing)
        return ForecastObjective(model)

    def scores(self, model: Stepwise, device: torch.device) -> dict[str, float]:
        """Accuracy on dev; or how much smaller the squared error is than if nothing ever changed, in percent."""
        if self.vocabulary.labels:
            right = [said.argmax(-1) == e.target for e, said in self._said(model, device, self.dev)]
            return {"accuracy": 100 * float(np.concatenate(right).mean())}
        errors = [(e.target - said, e.target - e.source) for e, said in self._said(model, device, self.dev)]
        ours, still = (float(np.square(np.concatenate(each)).sum()) for each in zip(*errors, strict=True))
        return {"skill": 100 * (1 - ours / still)}

    def completed(self, model: Stepwise, device: torch.device) -> Vocabulary:
        """With the standard deviations of the errors on train, which anomaly scores are measured in."""
        spec = self.vocabulary.spec
        if self.vocabulary.labels or not isinstance(spec, ReadingsSpec):
            return self.vocabulary
        errors = np.concatenate([e.target - said for e, said in self._said(model, device, self.train)])
        deviations = tuple(np.maximum(errors.std(axis=0, dtype=np.float64), 1e-6).tolist())
        return Vocabulary(features=spec.model_copy(update={"error_scale": deviations}))

    def _said(
        self, model: Stepwise, device: torch.device, examples: Sequence[Example]
    ) -> Iterator[tuple[Any, Array]]:
        for example in examples:
            source = torch.as_tensor(np.asarray(example.source), device=device)[None]
            yield example, model(source, torch.tensor([len(example.source)]))[0].float().cpu().numpy()

    def _windows(
        self, all_series: list[Series], parts: list[list[slice]], size: int, hop: int
    ) -> list[Example]:
        spec = self.vocabulary.spec
        assert isinstance(spec, ReadingsSpec)
        index = {label: number for number, label in enumerate(self.vocabulary.labels)}
        found: list[Example] = []
        for series, stretches in zip(all_series, parts, strict=True):
            scaled = Scaler(spec).scale(series.values)
            if unknown := set(series.labels) - index.keys():
                raise DataError(f"labels that do not occur in data.train: {', '.join(sorted(unknown))}")
            targets = [index[label] for label in series.labels] if index else scaled.before[1:]
            for where in stretches:
                found += _cut(Example(scaled.values[where], targets[where]), size, hop)
        return found


def measured(train: list[Series], data: SeriesData) -> ReadingsSpec:
    """The spec with what a fixed scale needs from these series."""
    if data.scaling == "running":
        return ReadingsSpec(names=data.columns, scaling="running")
    recent = data.scaling == "recent"
    wholes = [Recent(data.half_lives).distances(one.values) if recent else one.values for one in train]
    pairs = zip(wholes, train, strict=True)
    values = np.concatenate([whole[where] for whole, one in pairs for where in one.learned(data)])
    deviations = np.where(values.std(axis=0) > 0, values.std(axis=0), 1.0)
    return ReadingsSpec(
        names=data.columns,
        scaling=data.scaling,
        half_lives=data.half_lives,
        mean=() if recent else tuple(values.mean(axis=0).tolist()),
        scale=tuple(deviations.tolist()),
    )


def _cut(example: Example, size: int, hop: int) -> Iterator[Example]:
    """Windows of an example; a last reading whose follower is not known has no target and is left out."""
    length = len(example.target)
    for start in range(0, max(1, length - size // 2), hop):
        window = slice(start, min(start + size, length))
        if window.start < window.stop:
            yield Example(example.source[window], example.target[window])
