"""The export of models that label words, and of those that leave words out."""

from abc import abstractmethod
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from service.bundle.deletion import kept_by, kept_text
from service.bundle.manifest import Task
from service.bundle.transitions import best_labels, label_probabilities
from service.bundle.words import subwords_of, words_of
from training.config import CompressionRecipe, TagRecipe
from training.data.deletion import KEEP, LABELS
from training.data.readers import Compressed, Tagged, read_compressed, read_dev, read_tagged
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

BOUNDS = (0.5, *(percent / 100 for percent in range(20, 71, 2)))
"""What `keep_above` is chosen from; of equal ones the first."""


class WordLabelsExport(Export[R, Tagger]):
    """One graph. On dev an input is its own reference, and an answer what the graph says at every token."""

    score_name = "F1"

    def __init__(self, run: Run[R, Tagger]) -> None:
        super().__init__(run)
        chain = run.model.chain
        self._transitions = chain.transitions() if chain else None

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
        return list(found["log_probs"])

    def scores(self, given: Any, answer: Array) -> Array:
        """Of the words of an input: [words, labels]."""
        _, ends = subwords_of(self.run.vocabulary.tokenizer, self.words(given))
        scores: Array = answer[ends]
        return scores

    def _facts(self, task: Task, graphs: Graphs, keep_above: float = 0.5) -> Facts:
        return Facts(
            task,
            "" if reads_on(graphs, "tag") else TWO_WAY,
            source_language=self.run.recipe.source,
            words=self.run.recipe.data.words,
            transitions=self._transitions,
            keep_above=keep_above,
        )

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
            text.label_tokens(text.words(cut), self._labels(text, answer))
            for text, answer in zip(references, answers, strict=True)
        ]
        return score_spans(labels, [text.labels for text in references]).f1

    def _labels(self, text: Tagged, answer: Array) -> list[str]:
        best = best_labels(self.scores(text, answer), self._transitions)
        return [self.run.vocabulary.labels[label] for label in best]


class CompressionExport(WordLabelsExport[CompressionRecipe]):
    """What counts on dev is the F1 of the words that are left; there it is found from which probability on they are."""

    def __init__(self, run: Run[CompressionRecipe, Tagger]) -> None:
        super().__init__(run)
        self._keep_above = 0.5

    def facts(self, graphs: Graphs) -> Facts:
        return self._facts("summarize", graphs, self._keep_above)

    def dev(self, root: Path) -> Dev:
        data = self.run.recipe.data
        return self._dev(read_dev(lambda files: read_compressed(root, files, data), data, attrgetter("text")))

    def words(self, given: Compressed) -> list[str]:
        return [word.text for word in words_of(given.text, self.run.recipe.data.words)]

    def settle(self, answers: Sequence[Array], references: Sequence[Compressed]) -> None:
        found = {bound: self._f1(answers, references, bound) for bound in BOUNDS}
        self._keep_above = max(BOUNDS, key=lambda bound: found[bound])

    def score(self, answers: Sequence[Array], references: Sequence[Compressed]) -> float:
        return self._f1(answers, references, self._keep_above)

    def _f1(self, answers: Sequence[Array], references: Sequence[Compressed], keep_above: float) -> float:
        pairs = zip(references, answers, strict=True)
        outputs = [self._left(each, answer, keep_above) for each, answer in pairs]
        texts = [each.text for each in references]
        return score_deletions(outputs, [each.shorter for each in references], texts).f1

    def _left(self, given: Compressed, answer: Array, keep_above: float) -> str:
        words = words_of(given.text, self.run.recipe.data.words)
        probabilities = label_probabilities(self.scores(given, answer), self._transitions)
        keep = probabilities[:, LABELS.index(KEEP)].tolist()
        return kept_text(given.text, words, kept_by(keep, keep_above))
