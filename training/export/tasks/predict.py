"""The export of models that say something to each reading of a series."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from service.bundle.features import ReadingsSpec
from service.bundle.scaling import Scaler
from training.config import PredictionRecipe
from training.data.readers.series import read_series
from training.data.scores import score_labels
from training.export.arithmetic import Arithmetic
from training.export.check import Array
from training.export.check_stepwise import StepwiseCheck
from training.export.dev import Dev, DevBatch
from training.export.run import Run
from training.export.stepwise import StepwiseGraphs
from training.export.tasks.base import Export, Facts, Graphs, Runners, reads_on
from training.models.stepwise import Stepwise

TWO_WAY = (
    "it reads the series in both directions, so the last reading bears on what is said to the first; send whole "
    "series, or train a model with encoder.bidirectional = false"
)


class PredictionExport(Export[PredictionRecipe, Stepwise]):
    """One graph; what counts on dev is the share of right labels, or by how much forecasts beat standing still."""

    def __init__(self, run: Run[PredictionRecipe, Stepwise]) -> None:
        super().__init__(run)
        self.score_name = "accuracy" if run.vocabulary.labels else "skill"

    def graphs(self, numbers: Arithmetic) -> Graphs:
        recipe = self.run.recipe
        return StepwiseGraphs("predict", self.run.model, recipe.model, numbers, recipe.export.traces).graphs()

    def check(self, runners: Runners, tolerance: float | None) -> float:
        return StepwiseCheck(self.run.model, runners, tolerance).run()

    def facts(self, graphs: Graphs) -> Facts:
        return Facts("predict", "" if reads_on(graphs, "predict") else TWO_WAY)

    def dev(self, root: Path) -> Dev:
        """Whole parts of series; references are labels, or the readings that follow in the scale of those before."""
        data = self.run.recipe.data
        inputs, references = [], []
        for series in read_series(root, data.dev or data.train, data):
            scaled = Scaler(self._spec).scale(series.values)
            for where in series.judged(data):
                inputs.append(scaled.values[where])
                references.append(series.labels[where] if series.labels else scaled.before[where])
        return Dev(inputs, references)

    def row(self, given: Any) -> Array:
        return np.asarray(given)

    def answer(self, runners: Runners, batch: DevBatch) -> list[Any]:
        found = runners["predict"]({"features": batch.rows, "lengths": batch.lengths})
        labels = self.run.vocabulary.labels
        if labels:
            rows = zip(found["log_probs"].argmax(-1), batch.lengths, strict=True)
            return [[labels[best] for best in row[:length]] for row, length in rows]
        told = zip(found["forecast"], batch.rows, batch.lengths, strict=True)
        return [(forecast[:length], given[:length]) for forecast, given, length in told]

    def score(self, answers: Sequence[Any], references: Sequence[Any]) -> float:
        if self.run.vocabulary.labels:
            return score_labels(list(chain(*answers)), list(chain(*references)))
        pairs = list(zip(answers, references, strict=True))
        ours = sum(float(np.square(wanted[1:] - forecast[:-1]).sum()) for (forecast, _), wanted in pairs)
        still = sum(float(np.square(wanted[1:] - given[:-1]).sum()) for (_, given), wanted in pairs)
        return 100 * (1 - ours / still)

    @property
    def _spec(self) -> ReadingsSpec:
        spec = self.run.vocabulary.spec
        assert isinstance(spec, ReadingsSpec)
        return spec
