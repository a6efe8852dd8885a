"""The export of models that label words, and of those that leave words out."""

from abc import abstractmethod
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from service.bundle.deletion import kept_text
from service.bundle.manifest import Task
from service.bundle.words import subwords_of, words_of
from training.config import CompressionRecipe, TagRecipe
from training.data.deletion import KEEP
from training.data.readers import Compressed, Tagged, read_compressed, read_dev, read_tagged
from training.data.scores import score_deletions, score_spans
from training.export.arithmetic import Arithmetic
from training.export.check import Array
from training.export.check_tagger import TaggerCheck
from training.export.dev import Dev, DevBatch
from training.export.tagger import TaggerGraphs
from training.export.tasks.base import TWO_WAY, Export, Facts, Graphs, Runners, reads_on
from training.models.tagger import Tagger

R = TypeVar("R", bound=TagRecipe | CompressionRecipe)


class WordLabelsExport(Export[R, Tagger]):
    """One graph. On dev an input is its own reference, and an answer the likeliest label at every token."""

    score_name = "F1"

    @abstractmethod
    def words(self, given: Any) -> list[str]:
        """The words of an input of dev."""

    def graphs(self, numbers: Arithmetic) -> Graphs:
        return TaggerGraphs(self.run.model, self.run.recipe.model, numbers).graphs()

    def check(self, runners: Runners, tolerance: float | None) -> float:
        return TaggerCheck(self.run.model, runners, tolerance).run()

    def row(self, given: Any) -> Array:
        return np.array(subwords_of(self.run.vocabulary.tokenizer, self.words(given))[0])

    def answer(self, runners: Runners, batch: DevBatch) -> list[Array]:
        found = runners["tag"]({"tokens": batch.rows, "lengths": batch.lengths})
        return list(found["log_probs"].argmax(-1))

    def labels(self, given: Any, answer: Array) -> list[str]:
        """Of the words of an input."""
        _, ends = subwords_of(self.run.vocabulary.tokenizer, self.words(given))
        return [self.run.vocabulary.labels[answer[end]] for end in ends]

    def _facts(self, task: Task, graphs: Graphs) -> Facts:
        recipe, why_not = self.run.recipe, "" if reads_on(graphs, "tag") else TWO_WAY
        return Facts(task, why_not, source_language=recipe.source, words=recipe.data.words)

    def _dev(self, examples: Sequence[Any]) -> Dev:
        return Dev.spaced([(each, each) for each in examples], self.run.recipe.export.gate_examples)


class TagExport(WordLabelsExport[TagRecipe]):
    """What counts on dev is the F1 of the spans."""

    def facts(self, graphs: Graphs) -> Facts:
        return self._facts("tag", graphs)

    def dev(self, root: Path) -> Dev:
        data = self.run.recipe.data
        return self._dev(read_dev(lambda files: read_tagged(root, files, data), data, attrgetter("text")))

    def words(self, given: Tagged) -> list[str]:
        return given.words(self.run.recipe.data.words).words

    def score(self, answers: Sequence[Array], references: Sequence[Tagged]) -> float:
        cut = self.run.recipe.data.words
        labels = [
            text.label_tokens(text.words(cut), self.labels(text, answer))
            for text, answer in zip(references, answers, strict=True)
        ]
        return score_spans(labels, [text.labels for text in references]).f1


class CompressionExport(WordLabelsExport[CompressionRecipe]):
    """What counts on dev is the F1 of the words that are left."""

    def facts(self, graphs: Graphs) -> Facts:
        return self._facts("summarize", graphs)

    def dev(self, root: Path) -> Dev:
        data = self.run.recipe.data
        return self._dev(read_dev(lambda files: read_compressed(root, files, data), data, attrgetter("text")))

    def words(self, given: Compressed) -> list[str]:
        return [word.text for word in words_of(given.text, self.run.recipe.data.words)]

    def score(self, answers: Sequence[Array], references: Sequence[Compressed]) -> float:
        pairs = zip(references, answers, strict=True)
        outputs = [self._left(each.text, self.labels(each, answer)) for each, answer in pairs]
        texts = [each.text for each in references]
        return score_deletions(outputs, [each.shorter for each in references], texts).f1

    def _left(self, text: str, labels: Sequence[str]) -> str:
        words = words_of(text, self.run.recipe.data.words)
        return kept_text(text, words, [label == KEEP for label in labels])
