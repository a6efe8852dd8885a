"""The export of models that label words, and of those that leave words out."""

from abc import abstractmethod
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from service.bundle.deletion import kept_text
from service.bundle.words import subwords_of, words_of
from training.config import CompressionRecipe, TagRecipe
from training.data.deletion import KEEP
from training.data.readers import Tagged, read_both, read_compressed, read_tagged
from training.data.scores import score_deletions, score_spans
from training.export.arithmetic import Arithmetic
from training.export.check import Array
from training.export.check_tagger import TaggerCheck
from training.export.dev import Dev, DevBatch
from training.export.run import Run
from training.export.tagger import TaggerGraphs
from training.export.tasks.base import TWO_WAY, Export, Facts, Graphs, Runners, reads_on
from training.models.tagger import Tagger

R = TypeVar("R", bound=TagRecipe | CompressionRecipe)


class WordLabelsExport(Export[R, Tagger]):
    """One graph; an answer on dev is the labels of a text's words."""

    def __init__(self, run: Run[R, Tagger]) -> None:
        super().__init__(run)
        self._inputs: Sequence[Any] = ()

    @abstractmethod
    def words(self, given: Any) -> list[str]:
        """The words of an input of dev."""

    def graphs(self, numbers: Arithmetic) -> Graphs:
        recipe = self.run.recipe
        return TaggerGraphs(self.run.model, recipe.model, numbers, recipe.export.traces).graphs()

    def check(self, runners: Runners, tolerance: float | None) -> float:
        return TaggerCheck(self.run.model, runners, tolerance).run()

    def row(self, given: Any) -> Array:
        return np.array(subwords_of(self.run.vocabulary.tokenizer, self.words(given))[0])

    def answer(self, runners: Runners, batch: DevBatch) -> list[list[str]]:
        found = runners["tag"]({"tokens": batch.rows, "lengths": batch.lengths})["log_probs"].argmax(-1)
        return [self._labels(self._inputs[i], row) for i, row in zip(batch.indexes, found, strict=True)]

    def _labels(self, given: Any, best: Array) -> list[str]:
        _, ends = subwords_of(self.run.vocabulary.tokenizer, self.words(given))
        return [self.run.vocabulary.labels[best[end]] for end in ends]

    def _dev(self, examples: Sequence[tuple[Any, Any]]) -> Dev:
        dev = Dev.spaced(examples, self.run.recipe.export.gate_examples)
        self._inputs = dev.inputs
        return dev


class TagExport(WordLabelsExport[TagRecipe]):
    """What counts on dev is the F1 of the spans."""

    score_name = "F1"

    def facts(self, graphs: Graphs) -> Facts:
        recipe, why_not = self.run.recipe, "" if reads_on(graphs, "tag") else TWO_WAY
        return Facts("tag", why_not, source_language=recipe.source, words=recipe.data.words)

    def dev(self, root: Path) -> Dev:
        data = self.run.recipe.data
        _, dev = read_both(lambda files: read_tagged(root, files, data), data, attrgetter("text"))
        return self._dev([(text, text.labels) for text in dev])

    def words(self, given: Tagged) -> list[str]:
        return given.words(self.run.recipe.data.words).words

    def score(self, answers: Sequence[list[str]], references: Sequence[Sequence[str]]) -> float:
        cut = self.run.recipe.data.words
        texts = zip(self._inputs, answers, strict=True)
        labels = [text.label_tokens(text.words(cut), found) for text, found in texts]
        return score_spans(labels, references).f1


class CompressionExport(WordLabelsExport[CompressionRecipe]):
    """What counts on dev is the F1 of the words that are left."""

    score_name = "F1"

    def facts(self, graphs: Graphs) -> Facts:
        recipe, why_not = self.run.recipe, "" if reads_on(graphs, "tag") else TWO_WAY
        return Facts("summarize", why_not, source_language=recipe.source, words=recipe.data.words)

    def dev(self, root: Path) -> Dev:
        data = self.run.recipe.data
        _, dev = read_both(lambda files: read_compressed(root, files, data), data, attrgetter("text"))
        return self._dev([(each.text, each.shorter) for each in dev])

    def words(self, given: str) -> list[str]:
        return [word.text for word in words_of(given, self.run.recipe.data.words)]

    def score(self, answers: Sequence[list[str]], references: Sequence[str]) -> float:
        cut = self.run.recipe.data.words
        outputs = [
            kept_text(text, words_of(text, cut), [label == KEEP for label in labels])
            for text, labels in zip(self._inputs, answers, strict=True)
        ]
        return score_deletions(outputs, references, self._inputs).f1
