"""The export of language models."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from service.bundle.tokenizer import BOS, EOS
from training.config import ChatRecipe, LanguageModelRecipe
from training.data.readers import read_dialogues, read_text
from training.export.arithmetic import Arithmetic
from training.export.check import Array
from training.export.check_language_model import LanguageModelCheck
from training.export.dev import Dev, DevBatch
from training.export.language_model import LanguageModelGraphs
from training.export.tasks.base import Export, Facts, Graphs, Runners
from training.models.language_model import LanguageModel

LM = TypeVar("LM", bound=LanguageModelRecipe | ChatRecipe)

WINDOW = 256
"""Tokens of one example of dev."""


class LanguageModelExport(Export[LM, LanguageModel]):
    """Three graphs; what counts on dev is the log-probability of its tokens."""

    score_name = "log-probability of 100 tokens"

    def graphs(self, numbers: Arithmetic) -> Graphs:
        recipe = self.run.recipe
        return LanguageModelGraphs(self.run.model, recipe.model, numbers, recipe.export.traces).graphs()

    def check(self, runners: Runners, tolerance: float | None) -> float:
        return LanguageModelCheck(self.run.model, runners, tolerance).run()

    @abstractmethod
    def documents(self, root: Path) -> list[list[int]]:
        """The tokens of each document of dev, its end included where it has one."""

    def dev(self, root: Path) -> Dev:
        windows = [
            [BOS, *ids[start : start + WINDOW]]
            for ids in self.documents(root)
            for start in range(0, len(ids), WINDOW)
        ]
        examples = [(window, len(window) - 1) for window in windows]
        return Dev.spaced(examples, self.run.recipe.export.gate_examples)

    def row(self, given: Sequence[int]) -> Array:
        return np.array(given)

    def answer(self, runners: Runners, batch: DevBatch) -> list[float]:
        tokens, following, lengths = batch.rows[:, :-1], batch.rows[:, 1:], batch.lengths - 1
        found = runners["score"]({"tokens": tokens, "next": following, "lengths": lengths})["log_probs"]
        real = np.arange(tokens.shape[1]) < lengths[:, None]
        return [float(each) for each in np.where(real, found, 0.0).astype(np.float64).sum(axis=1)]

    def score(self, answers: Sequence[float], references: Sequence[int]) -> float:
        return 100 * sum(answers) / sum(references)


class GenerationExport(LanguageModelExport[LanguageModelRecipe]):
    """Of running text."""

    def facts(self, graphs: Graphs) -> Facts:
        language = self.run.recipe.source
        return Facts("generate", source_language=language, target_language=language)

    def documents(self, root: Path) -> list[list[int]]:
        data, encode = self.run.recipe.data, self.run.vocabulary.tokenizer.encode
        end = [] if data.format == "text" else [EOS]
        return [[*encode(text), *end] for text in read_text(root, data.dev, data, data.dev_part)]


class ChatExport(LanguageModelExport[ChatRecipe]):
    """Of dialogues."""

    def facts(self, graphs: Graphs) -> Facts:
        language = self.run.recipe.source
        return Facts("chat", source_language=language, target_language=language)

    def documents(self, root: Path) -> list[list[int]]:
        data, encode = self.run.recipe.data, self.run.vocabulary.tokenizer.encode
        dialogues = read_dialogues(root, data.dev, data)
        return [[token for turn in turns for token in (*encode(turn), EOS)] for turns in dialogues]
