"""Translation: a target written from a source, both of them text."""

from collections.abc import Mapping
from itertools import chain
from operator import attrgetter
from pathlib import Path

import torch
from torch import Tensor

from service.bundle.tokenizer import BOS, EOS, PAD, Tokenizer
from service.bundle.waiting import WHOLE, word_starts
from training.config import SimultaneousSection, TrainingSection, TranslationRecipe
from training.data.batches import Batch, Example, Plan
from training.data.readers import Pair, read_both, read_pairs
from training.data.readers.files import lines
from training.data.scores import score_translations
from training.data.tokenizers import learn_tokenizer
from training.data.vocabulary import Vocabulary
from training.data.waiting import draw_wait, visible
from training.fit.agreement import disagreement, doubled
from training.fit.losses import smoothed_cross_entropy
from training.fit.tasks.base import Objective, Task, evenly
from training.fit.tasks.cuts import Cuts, kept_within
from training.models.greedy import translate
from training.models.seq2seq import Seq2Seq


class TranslationObjective(Objective[Seq2Seq]):
    """Summed loss of the target subwords; while training, smoothed, and `r_drop` times how much two passes disagree
    about them.
    """

    def __init__(self, model: Seq2Seq, smoothing: float, r_drop: float = 0.0) -> None:
        super().__init__(model)
        self.smoothing, self.r_drop = smoothing, r_drop

    def forward(self, batch: Batch) -> Tensor:
        if self.training and self.r_drop:
            return self._agreeing(doubled(batch))
        output = self.model.output
        smoothing = self.smoothing if self.training else 0.0
        return smoothed_cross_entropy(
            self._readouts(batch).flatten(0, 1),
            output.weight,
            output.bias,
            batch.target[:, 1:].flatten(),
            smoothing,
        )

    def _agreeing(self, twice: Batch) -> Tensor:
        log_probs = self.model.output(self._readouts(twice)).float().log_softmax(-1)
        wanted = twice.target[:, 1:]
        real = wanted != PAD
        gold = log_probs.gather(-1, wanted[..., None])[..., 0]
        losses = -torch.lerp(gold, log_probs.mean(-1), self.smoothing)
        apart = disagreement(log_probs) * real[: len(real) // 2]
        return (losses * real).sum() / 2 + self.r_drop * apart.sum()

    def _readouts(self, batch: Batch) -> Tensor:
        given = batch.target[:, :-1]
        return self.model.readouts(batch.source, batch.lengths, given, self.visible(batch))

    def count(self, batch: Batch) -> int:
        """Target subwords, EOS included."""
        return int((batch.target[:, 1:] != PAD).sum())

    def visible(self, batch: Batch) -> Tensor | None:
        """What each target position may look at; None: all of the source."""
        return None


class SimultaneousObjective(TranslationObjective):
    """The same under wait-k, with a k that is drawn for each batch; evaluation has one k, so that losses compare."""

    starts: Tensor

    def __init__(
        self, model: Seq2Seq, training: TrainingSection, section: SimultaneousSection, tokenizer: Tokenizer
    ) -> None:
        super().__init__(model, training.label_smoothing, training.r_drop)
        self._section = section
        self.register_buffer("starts", torch.from_numpy(word_starts(tokenizer)), persistent=False)

    def visible(self, batch: Batch) -> Tensor:
        wait = draw_wait(self._section.waits, WHOLE) if self.training else self._section.dev_wait
        return visible(batch.source, batch.target[:, 1:], self.starts, wait)


class Translation(Task[TranslationRecipe, Seq2Seq]):
    """Pairs: a source ends with EOS; a target begins with BOS and ends with EOS."""

    def __init__(self, recipe: TranslationRecipe, root: Path, given: Vocabulary) -> None:
        super().__init__(recipe, root, given)
        data = recipe.data
        languages = recipe.source, recipe.target
        pairs, self._dev = read_both(
            lambda files: read_pairs(root, files, data, *languages), data, attrgetter("source")
        )
        sides = (side for pair in pairs for side in pair)
        others = (line for file in recipe.tokenizer.texts for line in lines(root / file))
        self.vocabulary = Vocabulary(
            given.subwords or learn_tokenizer(chain(sides, others), recipe.tokenizer)
        )
        self._encoder: Mapping[str, Tensor] = {}
        self._cuts = Cuts.of(recipe, self.vocabulary.tokenizer)
        self._pairs, self.train = kept_within(pairs, self._examples(pairs), data.max_length)
        self.dev = self._examples(self._dev)

    def plan(self, epoch: int) -> Plan:
        self._cuts.epoch = epoch
        return super().plan(epoch)

    def example(self, index: int) -> Example:
        if not self._cuts:
            return super().example(index)
        source, target = (self._cuts.of_text(text, index) for text in self._pairs[index])
        return Example([*source, EOS], [BOS, *target, EOS])

    def objective(self) -> TranslationObjective:
        recipe = self._recipe
        model, training = Seq2Seq.from_recipe(recipe, self.vocabulary), recipe.training
        if self._encoder:
            model.encoder.load_state_dict(self._encoder)
            model.encoder.requires_grad_(False)
        if recipe.simultaneous is None:
            return TranslationObjective(model, training.label_smoothing, training.r_drop)
        return SimultaneousObjective(model, training, recipe.simultaneous, self.vocabulary.tokenizer)

    def take_encoder(self, weights: Mapping[str, Tensor]) -> None:
        """Models from now on have the encoder of another model, and do not train it."""
        self._encoder = {
            name.removeprefix("encoder."): weight
            for name, weight in weights.items()
            if name.startswith("encoder.")
        }

    def scores(self, model: Seq2Seq, device: torch.device) -> dict[str, float]:
        """BLEU of greedy translations of evenly spaced dev pairs."""
        chosen = evenly(len(self.dev), self._recipe.training.score_examples)
        if not chosen:
            return {}
        batch = self.collate([self.dev[index] for index in chosen]).to(device)
        written = translate(model, batch.source, batch.lengths)
        hypotheses = [self.vocabulary.tokenizer.decode(row) for row in written]
        return {"bleu": score_translations(hypotheses, [self._dev[index].target for index in chosen]).score}

    def _examples(self, pairs: list[Pair]) -> list[Example]:
        tokenizer = self.vocabulary.tokenizer
        sources, targets = (tokenizer.encode_batch(list(side)) for side in zip(*pairs, strict=True))
        sides = zip(sources, targets, strict=True)
        return [Example([*source, EOS], [BOS, *target, EOS]) for source, target in sides]
