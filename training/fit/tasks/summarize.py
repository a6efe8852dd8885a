"""Summaries: a short text written from a long one."""

from operator import attrgetter
from pathlib import Path

import torch
from torch import Tensor

from service.bundle.tokenizer import BOS, EOS, PAD
from training.config import SummaryRecipe
from training.data.batches import Batch, Example
from training.data.readers import Pair, read_both, read_pairs
from training.data.rouge import score_rouge
from training.data.tokenizers import learn_tokenizer
from training.data.vocabulary import Vocabulary
from training.fit.agreement import disagreement, doubled
from training.fit.tasks.base import Objective, Task, evenly, within
from training.models.copying import CopyingSeq2Seq
from training.models.greedy import translate


class SummaryObjective(Objective[CopyingSeq2Seq]):
    """Summed loss of the target subwords, and `r_drop` times how much two passes disagree about them while training.

    Nothing is smoothed: a copy has no vocabulary to smooth over.
    """

    def __init__(self, model: CopyingSeq2Seq, r_drop: float) -> None:
        super().__init__(model)
        self.r_drop = r_drop

    def forward(self, batch: Batch) -> Tensor:
        if self.training and self.r_drop:
            return self._agreeing(doubled(batch))
        losses: Tensor = self.model.losses(*batch)
        return losses.sum()

    def _agreeing(self, twice: Batch) -> Tensor:
        log_probs, wanted = self.model.log_probs(*twice), twice.target[:, 1:]
        real = wanted != PAD
        losses = -log_probs.gather(-1, wanted[..., None])[..., 0]
        apart = disagreement(log_probs) * real[: len(real) // 2]
        return (losses * real).sum() / 2 + self.r_drop * apart.sum()

    def count(self, batch: Batch) -> int:
        """Target subwords, EOS included."""
        return int((batch.target[:, 1:] != PAD).sum())


class Summarization(Task[SummaryRecipe, CopyingSeq2Seq]):
    """A source ends with EOS; a target begins with BOS and ends with EOS."""

    def __init__(self, recipe: SummaryRecipe, root: Path, given: Vocabulary) -> None:
        super().__init__(recipe, root, given)
        data = recipe.data
        pairs, self._dev = read_both(
            lambda files: read_pairs(root, files, data, data.text, data.summary), data, attrgetter("source")
        )
        sides = (side for pair in pairs for side in pair)
        self.vocabulary = Vocabulary(given.subwords or learn_tokenizer(sides, recipe.tokenizer))
        self.train = within(self._examples(pairs), data.max_length)
        self.dev = self._examples(self._dev)

    def objective(self) -> SummaryObjective:
        model = CopyingSeq2Seq.from_recipe(self._recipe, self.vocabulary)
        return SummaryObjective(model, self._recipe.training.r_drop)

    def scores(self, model: CopyingSeq2Seq, device: torch.device) -> dict[str, float]:
        """ROUGE of greedy summaries of evenly spaced dev texts."""
        chosen = evenly(len(self.dev), self._recipe.training.score_examples)
        if not chosen:
            return {}
        batch = self.collate([self.dev[index] for index in chosen]).to(device)
        written = translate(model, batch.source, batch.lengths)
        summaries = [self.vocabulary.tokenizer.decode(row) for row in written]
        score = score_rouge(summaries, [self._dev[index].target for index in chosen])
        return {"rouge_1": score.one, "rouge_2": score.two, "rouge_l": score.longest}

    def _examples(self, pairs: list[Pair]) -> list[Example]:
        tokenizer = self.vocabulary.tokenizer
        sources, targets = (tokenizer.encode_batch(list(side)) for side in zip(*pairs, strict=True))
        sides = zip(sources, targets, strict=True)
        return [Example([*source, EOS], [BOS, *target, EOS]) for source, target in sides]
