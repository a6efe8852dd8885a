"""What eight bits cost: scores on dev by the float32 graphs and by those to be written, told and bounded.

Translations are greedy. Every dev example is taken, or evenly spaced ones where `export.gate_examples` allows fewer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from service.bundle.tokenizer import BOS, EOS, Tokenizer
from training.config import ClassificationRecipe, Recipe, TranslationRecipe
from training.data.readers import read_labelled, read_pairs
from training.data.scores import score_labels, score_translations
from training.export.check import Array, Arrays, ExportRefused, Runner

BATCH = 64
MAX_LENGTH = 100

Runners = Mapping[str, Runner]


@dataclass(frozen=True)
class Dev:
    """Examples with their references: a sentence's translation, or a text's label."""

    texts: list[str]
    references: list[str]

    @classmethod
    def read(cls, recipe: Recipe, root: Path) -> "Dev":
        """At most `export.gate_examples`, evenly spaced; DataError where a file is missing or malformed."""
        pairs = _examples(recipe, root)
        chosen = pairs[:: max(1, -(-len(pairs) // recipe.export.gate_examples))]
        return cls([text for text, _ in chosen], [reference for _, reference in chosen])


@dataclass(frozen=True)
class Loss:
    """Scores in BLEU or percent."""

    score: str
    num_examples: int
    fp32: float
    int8: float
    answers: Sequence[str]
    """What the int8 graphs answered."""

    @property
    def lost(self) -> float:
        """Below zero where int8 is the better one."""
        return self.fp32 - self.int8

    def __str__(self) -> str:
        lost = f"{self.fp32:.2f} in fp32, {self.int8:.2f} in int8: {self.lost:+.2f} lost"
        return f"{self.score} on {self.num_examples} examples of dev: {lost}"

    def require_at_most(self, bound: float) -> None:
        """ExportRefused where more is lost."""
        if not self.lost <= bound:
            raise ExportRefused(f"{self}; export.max_loss allows {bound:g}")


def measure(
    recipe: Recipe, tokenizer: Tokenizer, labels: Sequence[str], dev: Dev, fp32: Runners, int8: Runners
) -> Loss:
    """Run both over `dev`, with a bar where somebody looks on."""
    plain, small = (
        _answers(name, runners, tokenizer, labels, dev.texts)
        for name, runners in (("fp32", fp32), ("int8", int8))
    )
    name, score = ("accuracy", score_labels) if isinstance(recipe, ClassificationRecipe) else ("BLEU", _bleu)
    fp32_score, int8_score = (score(answers, dev.references) for answers in (plain, small))
    return Loss(name, len(dev.texts), fp32_score, int8_score, small)


def _bleu(answers: Sequence[str], references: Sequence[str]) -> float:
    return score_translations(answers, references).score


def _answers(
    name: str, runners: Runners, tokenizer: Tokenizer, labels: Sequence[str], texts: Sequence[str]
) -> list[str]:
    answers = [""] * len(texts)
    batches = list(_batches(texts, tokenizer, ends="step" in runners))
    err = Console(stderr=True)
    for batch in track(batches, f"dev in {name}", console=err, transient=True, disable=not err.is_terminal):
        found = (
            _translate(runners, batch, tokenizer) if "step" in runners else _classify(runners, batch, labels)
        )
        for index, answer in zip(batch.indexes, found, strict=True):
            answers[index] = answer
    return answers


def _examples(recipe: Recipe, root: Path) -> Sequence[tuple[str, str]]:
    if isinstance(recipe, TranslationRecipe):
        return read_pairs(root, recipe.data.dev, recipe.data, recipe.source, recipe.target)
    assert isinstance(recipe, ClassificationRecipe)
    return read_labelled(root, recipe.data.dev, recipe.data)


@dataclass(frozen=True)
class _Batch:
    indexes: list[int]
    tokens: Array
    lengths: Array


def _batches(texts: Sequence[str], tokenizer: Tokenizer, ends: bool) -> Iterator[_Batch]:
    """Texts of about one length together, `EOS` behind each where the model reads it."""
    ids = [[*tokenizer.encode(text), *[EOS] * ends] or [EOS] for text in texts]
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        tokens = np.zeros((len(chosen), max(len(ids[index]) for index in chosen)), np.int64)
        for row, index in zip(tokens, chosen, strict=True):
            row[: len(ids[index])] = ids[index]
        yield _Batch(chosen, tokens, np.array([len(ids[index]) for index in chosen]))


def _classify(runners: Runners, batch: _Batch, labels: Sequence[str]) -> list[str]:
    found = runners["classify"]({"tokens": batch.tokens, "lengths": batch.lengths})
    return [labels[best] for best in found["log_probs"].argmax(axis=1)]


def _translate(runners: Runners, batch: _Batch, tokenizer: Tokenizer) -> list[str]:
    encode, step = runners["encode"], runners["step"]
    state = step.states(encode({"tokens": batch.tokens, "lengths": batch.lengths}))
    fixed: dict[str, Any] = {"source_lengths": batch.lengths, "k": np.array(1)}
    token, written = np.full(len(batch.lengths), BOS), np.zeros((len(batch.lengths), 0), np.int64)
    while written.shape[1] < MAX_LENGTH and not (written == EOS).any(axis=1).all():
        found: Arrays = step({"token": token, **fixed, **state})
        token = found["top_tokens"][:, 0]
        written = np.concatenate([written, token[:, None]], axis=1)
        state |= step.states(found)
    return [tokenizer.decode(_until_end(row.tolist())) for row in written]


def _until_end(ids: list[int]) -> list[int]:
    return ids[: ids.index(EOS)] if EOS in ids else ids
