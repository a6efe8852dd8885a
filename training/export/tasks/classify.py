"""The export of classifiers."""

from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

import numpy as np

from service.bundle.tokenizer import EOS
from training.config import ClassificationRecipe
from training.data.readers import read_dev, read_labelled
from training.data.scores import score_labels
from training.export.arithmetic import Arithmetic
from training.export.check import Array
from training.export.check_classifier import ClassifierCheck
from training.export.classifier import ClassifierGraphs
from training.export.dev import Dev, DevBatch
from training.export.tasks.base import TWO_WAY, Export, Facts, Graphs, Runners, reads_on
from training.models.classifier import Classifier


class ClassificationExport(Export[ClassificationRecipe, Classifier]):
    """One graph; what counts on dev is the share of right labels."""

    score_name = "accuracy"

    def graphs(self, numbers: Arithmetic) -> Graphs:
        recipe = self.run.recipe
        return ClassifierGraphs(self.run.model, recipe.model, numbers, recipe.export.traces).graphs()

    def check(self, runners: Runners, tolerance: float | None) -> float:
        return ClassifierCheck(self.run.model, runners, tolerance).run()

    def facts(self, graphs: Graphs) -> Facts:
        why_not = "" if reads_on(graphs, "classify") else TWO_WAY
        return Facts("classify", why_not, source_language=self.run.recipe.source)

    def dev(self, root: Path) -> Dev:
        data = self.run.recipe.data
        dev = read_dev(lambda files: read_labelled(root, files, data), data, attrgetter("text"))
        return Dev.spaced(dev, self.run.recipe.export.gate_examples)

    def row(self, given: str) -> Array:
        return np.array(self.run.vocabulary.tokenizer.encode(given) or [EOS])

    def answer(self, runners: Runners, batch: DevBatch) -> list[str]:
        found = runners["classify"]({"tokens": batch.rows, "lengths": batch.lengths})
        return [self.run.vocabulary.labels[best] for best in found["log_probs"].argmax(axis=1)]

    def score(self, answers: Sequence[str], references: Sequence[str]) -> float:
        return score_labels(answers, references)
