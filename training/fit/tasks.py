"""What differs between the tasks: examples, vocabulary, objective and the scores on dev."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch

from service.bundle.tokenizer import BOS, EOS, Tokenizer
from training.config import ClassificationRecipe, Recipe, TranslationRecipe
from training.data.batches import Batch, Example, collate, plan_batches
from training.data.readers import DataError, Labelled, Pair, read_labelled, read_pairs
from training.data.scores import score_translations
from training.data.subwords import learn_tokenizer
from training.fit.objectives import ClassificationObjective, Objective, TranslationObjective
from training.models.classifier import Classifier
from training.models.greedy import translate
from training.models.seq2seq import Seq2Seq


class Task(Protocol):
    """A recipe's examples and model."""

    tokenizer: Tokenizer
    labels: list[str]
    train: list[Example]
    dev: list[Example]

    def objective(self) -> Objective:
        """A model with fresh weights, and its loss."""

    def scores(self, objective: Objective, device: torch.device) -> dict[str, float]:
        """Scores on dev by name, higher is better."""


class Translation:
    """Pairs: a source ends with EOS; a target begins with BOS and ends with EOS."""

    def __init__(self, recipe: TranslationRecipe, root: Path, tokenizer: Tokenizer | None) -> None:
        data = recipe.data
        pairs = read_pairs(root, data.train, data, recipe.source, recipe.target)
        self._recipe = recipe
        self._dev = read_pairs(root, data.dev, data, recipe.source, recipe.target)
        self.labels: list[str] = []
        self.tokenizer = tokenizer or learn_tokenizer(
            (side for pair in pairs for side in pair), recipe.tokenizer
        )
        self.train = within(self._examples(pairs), data.max_length)
        self.dev = self._examples(self._dev)

    def objective(self) -> TranslationObjective:
        """A model with fresh weights, and its loss."""
        model = Seq2Seq(self._recipe.model, self.tokenizer.size)
        return TranslationObjective(model, self._recipe.training.label_smoothing)

    def scores(self, objective: Objective, device: torch.device) -> dict[str, float]:
        """BLEU of greedy translations of evenly spaced dev pairs."""
        limit = self._recipe.training.score_examples
        chosen = range(0, len(self.dev), max(1, len(self.dev) // limit)) if limit else range(0)
        if not chosen:
            return {}
        hypotheses = self._translate(objective, list(chosen), device)
        return {"bleu": score_translations(hypotheses, [self._dev[index].target for index in chosen]).score}

    def _examples(self, pairs: list[Pair]) -> list[Example]:
        sources, targets = (self.tokenizer.encode_batch(list(side)) for side in zip(*pairs, strict=True))
        sides = zip(sources, targets, strict=True)
        return [Example([*source, EOS], [BOS, *target, EOS]) for source, target in sides]

    def _translate(self, objective: Objective, chosen: list[int], device: torch.device) -> list[str]:
        model = objective.model
        assert isinstance(model, Seq2Seq)
        model.eval()
        batch = collate([self.dev[index] for index in chosen]).to(device)
        written = translate(model, batch.source, batch.lengths)
        model.train()
        return [self.tokenizer.decode(row) for row in written]


class Classification:
    """Labelled texts: a source is a text's subwords alone, a target the index of its label."""

    def __init__(self, recipe: ClassificationRecipe, root: Path, tokenizer: Tokenizer | None) -> None:
        data = recipe.data
        train, dev = (read_labelled(root, files, data) for files in (data.train, data.dev))
        self._recipe = recipe
        self.labels = sorted({example.label for example in train})
        self.tokenizer = tokenizer or learn_tokenizer((example.text for example in train), recipe.tokenizer)
        self.train = within(self._examples(train), data.max_length)
        self.dev = self._examples(dev)

    def objective(self) -> ClassificationObjective:
        """A model with fresh weights, and its loss."""
        model = Classifier(self._recipe.model, self.tokenizer.size, len(self.labels))
        return ClassificationObjective(model, self._recipe.training.label_smoothing)

    @torch.no_grad()
    def scores(self, objective: Objective, device: torch.device) -> dict[str, float]:
        """Accuracy on dev."""
        objective.eval()
        right = sum(_count_right(objective, batch.to(device)) for batch in whole_batches(self.dev))
        objective.train()
        return {"accuracy": 100 * right / len(self.dev)}

    def _examples(self, texts: list[Labelled]) -> list[Example]:
        index = {label: number for number, label in enumerate(self.labels)}
        unknown = {text.label for text in texts} - index.keys()
        if unknown:
            raise DataError(f"labels that do not occur in data.train: {', '.join(sorted(unknown))}")
        sources = self.tokenizer.encode_batch([text.text for text in texts])
        pairs = zip(sources, texts, strict=True)
        return [Example(ids, [index[text.label]]) for ids, text in pairs if ids]


TASKS: dict[str, Callable[..., Task]] = {"translate": Translation, "classify": Classification}


def open_task(recipe: Recipe, root: Path, tokenizer: Tokenizer | None = None) -> Task:
    """Reads the data, and learns the tokenizer unless one is given."""
    return TASKS[recipe.task](recipe, root, tokenizer)


def within(examples: list[Example], max_length: int) -> list[Example]:
    """Examples of at most `max_length` subwords on either side."""
    return [example for example in examples if max(map(len, example)) <= max_length]


def whole_batches(examples: list[Example], max_tokens: int = 4000) -> list[Batch]:
    """All examples once, in order of length."""
    return [collate([examples[index] for index in rows]) for rows in plan_batches(examples, max_tokens)]


def _count_right(objective: Objective, batch: Batch) -> int:
    model = objective.model
    assert isinstance(model, Classifier)
    return int((model(batch.source, batch.lengths).argmax(-1) == batch.target[:, 0]).sum())
