"""The export of translators."""

from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from service.bundle.tokenizer import BOS, EOS
from training.config import TranslationRecipe
from training.data.readers import read_dev, read_pairs
from training.data.scores import score_translations
from training.export.arithmetic import Arithmetic
from training.export.check import Array, Arrays
from training.export.check_seq2seq import Seq2SeqCheck
from training.export.dev import Dev, DevBatch
from training.export.seq2seq import Seq2SeqGraphs
from training.export.tasks.base import TWO_WAY, Export, Facts, Graphs, Runners, reads_on
from training.models.seq2seq import Seq2Seq

MAX_LENGTH = 100
"""Longest translation of a dev example, in tokens."""


class TranslationExport(Export[TranslationRecipe, Seq2Seq]):
    """Two graphs; what counts on dev is the BLEU of greedy translations."""

    score_name = "BLEU"

    def graphs(self, numbers: Arithmetic) -> Graphs:
        recipe = self.run.recipe
        unknowns, traces = recipe.export.unknowns, recipe.export.traces
        return Seq2SeqGraphs(
            self.run.model,
            recipe.model,
            numbers,
            unknowns=unknowns,
            traces=traces,
            shared=recipe.shared is not None,
        ).graphs()

    def check(self, runners: Runners, tolerance: float | None) -> float:
        unknowns = self.run.recipe.export.unknowns
        return Seq2SeqCheck(self.run.model, runners, tolerance, unknowns=unknowns).run()

    def facts(self, graphs: Graphs) -> Facts:
        recipe = self.run.recipe
        why_not = "" if reads_on(graphs, "encode") else TWO_WAY
        return Facts(
            "translate",
            why_not,
            recipe.source,
            recipe.target,
            simultaneous=recipe.simultaneous is not None,
            measure=recipe.export.measure,
            taken={"encode": (recipe.shared.encoder_of, recipe.shared.version)}
            if recipe.shared and recipe.shared.encoder_of
            else {},
            evaluate_options="--simultaneous" if recipe.simultaneous else "--beam 4",
        )

    def dev(self, root: Path) -> Dev:
        recipe = self.run.recipe
        data, languages = recipe.data, (recipe.source, recipe.target)
        dev = read_dev(lambda files: read_pairs(root, files, data, *languages), data, attrgetter("source"))
        return Dev.spaced(dev, recipe.export.gate_examples)

    def row(self, given: str) -> Array:
        return np.array([*self.run.vocabulary.tokenizer.encode(given), EOS])

    def answer(self, runners: Runners, batch: DevBatch) -> list[str]:
        written = greedy(runners, batch)
        return [self.run.vocabulary.tokenizer.decode(until_end(row.tolist())) for row in written]

    def score(self, answers: Sequence[str], references: Sequence[str]) -> float:
        return score_translations(answers, references).score


def greedy(runners: Runners, batch: DevBatch, max_length: int = MAX_LENGTH, given: str = "tokens") -> Array:
    """The likeliest next token again and again by `encode` and `step`, until every row has ended: [batch, time]."""
    encode, step = runners["encode"], runners["step"]
    state = step.states(encode({given: batch.rows, "lengths": batch.lengths}))
    fixed: dict[str, Any] = {"source_lengths": batch.lengths, "k": np.array(1)}
    token, written = np.full(len(batch.lengths), BOS), np.zeros((len(batch.lengths), 0), np.int64)
    while written.shape[1] < max_length and not (written == EOS).any(axis=1).all():
        found: Arrays = step({"token": token, **fixed, **state})
        token = found["top_tokens"][:, 0]
        written = np.concatenate([written, token[:, None]], axis=1)
        state |= step.states(found)
    return written


def until_end(ids: list[int]) -> list[int]:
    """What stands before the end of the sentence."""
    return ids[: ids.index(EOS)] if EOS in ids else ids
