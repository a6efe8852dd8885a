"""Transcription: what is said in sound, as text (connectionist temporal classification, Graves et al. 2006)."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import ctc_loss

from service.bundle.best_path import BLANK, best_path
from service.bundle.features import SoundSpec
from service.bundle.sound import Framer, LogMel, mel_of
from training.config import SoundSection, TranscriptionRecipe, VoicesSection
from training.data.batches import Batch, Example, Plan, plan_batches, plan_epoch
from training.data.readers.recordings import DigitStrings, Utterance, read_digits, read_split, read_utterances
from training.data.scores import word_error_rate
from training.data.tokenizers import learn_tokenizer
from training.data.vocabulary import Vocabulary
from training.data.voices import Voices
from training.fit.tasks.base import DEV_TOKENS, Objective, Task
from training.models.stepwise import Stepwise

GRAIN = 16
"""Recordings of a batch differ in length by less than so many units."""


class TranscriptionObjective(Objective[Stepwise]):
    """Summed loss of the texts: -log of the probability of all paths that collapse to them (ibid. §4.1)."""

    def forward(self, batch: Batch) -> Tensor:
        logits = self.model(batch.source, batch.lengths).float()
        log_probs = logits.log_softmax(-1).transpose(0, 1)
        lengths = (batch.target != BLANK).sum(1)
        return ctc_loss(
            log_probs, batch.target, batch.lengths, lengths, BLANK, reduction="sum", zero_infinity=True
        )

    def count(self, batch: Batch) -> int:
        """Tokens of the texts."""
        return int((batch.target != BLANK).sum())


class Transcription(Task[TranscriptionRecipe, Stepwise]):
    """Recordings: a source is their log-mel units, a target the tokens of what is said."""

    def __init__(self, recipe: TranscriptionRecipe, root: Path, given: Vocabulary) -> None:
        super().__init__(recipe, root, given)
        self._drawn: DigitStrings | None = None
        self._said, self._dev = self._utterances(root)
        tokenizer = given.subwords or learn_tokenizer((said.text for said in self._said), recipe.tokenizer)
        spec = given.features or measured(recipe.sound, [said.samples for said in self._said])
        self.vocabulary = Vocabulary(tokenizer, features=spec)
        self._voices = None if recipe.voices == VoicesSection() else Voices(recipe.voices, self._spec)
        self.train = self._changed(self._said, 0)
        self.dev = self._examples(self._dev)

    def objective(self) -> TranscriptionObjective:
        return TranscriptionObjective(Stepwise.hearing(self._recipe, self.vocabulary))

    def plan(self, epoch: int) -> Plan:
        """Other voices every epoch, and of digits other strings."""
        recipe = self._recipe
        if self._drawn is not None and epoch:
            self._said = self._drawn.drawn(recipe.data.num_strings, f"{recipe.seed}/{epoch}")
        if epoch and (self._drawn or self._voices):
            self.train = self._changed(self._said, epoch)
        return plan_epoch(self.train, recipe.training.batch_tokens, recipe.seed, epoch, GRAIN)

    def dev_batches(self) -> list[Batch]:
        return [
            self.collate([self.dev[index] for index in rows])
            for rows in plan_batches(self.dev, DEV_TOKENS, GRAIN)
        ]

    def scores(self, model: Stepwise, device: torch.device) -> dict[str, float]:
        """100 less the word error rate on dev, best path."""
        texts = [self._heard(model, example, device) for example in self.dev]
        return {"words_right": 100 - word_error_rate(texts, [said.text for said in self._dev])}

    def _heard(self, model: Stepwise, example: Example, device: torch.device) -> str:
        source = torch.as_tensor(np.asarray(example.source), device=device)[None]
        ids = model(source, torch.tensor([len(example.source)]))[0].argmax(-1).cpu().numpy()
        return self.vocabulary.tokenizer.decode([heard.token for heard in best_path(ids)])

    def _utterances(self, root: Path) -> tuple[list[Utterance], list[Utterance]]:
        """Train and dev."""
        data, rate, seed = self._recipe.data, self._recipe.sound.sample_rate, self._recipe.seed
        dev = read_split(root, "dev", data, rate)
        if data.format == "tsv":
            return read_utterances(root, data.train, rate), dev
        self._drawn = DigitStrings(read_digits(root, data.train, rate), data, "train", rate)
        return self._drawn.drawn(data.num_strings, f"{seed}/0"), dev

    @property
    def _spec(self) -> SoundSpec:
        spec = self.vocabulary.spec
        assert isinstance(spec, SoundSpec)
        return spec

    def _examples(self, utterances: Sequence[Utterance]) -> list[Example]:
        """As they were recorded."""
        mel = mel_of(self._spec)
        return self._made_of(utterances, lambda said, _: Framer.whole(self._spec, said.samples, mel))

    def _changed(self, utterances: Sequence[Utterance], epoch: int) -> list[Example]:
        """In the voices of this epoch."""
        voices, seed = self._voices, self._recipe.seed
        if voices is None:
            return self._examples(utterances)
        return self._made_of(utterances, lambda said, index: voices.units(said.samples, (seed, epoch, index)))

    def _made_of(
        self, utterances: Sequence[Utterance], units_of: Callable[[Utterance, int], np.ndarray]
    ) -> list[Example]:
        longest = self._recipe.data.max_seconds * self._spec.sample_rate
        encode = self.vocabulary.tokenizer.encode
        return [
            Example(units_of(said, index), encode(said.text))
            for index, said in enumerate(utterances)
            if len(said.samples) <= longest
        ]


def measured(section: SoundSection, recordings: Sequence[np.ndarray]) -> SoundSpec:
    """The spec with the mean and deviation of each band over these recordings."""
    length, step, tail = (
        round(ms * section.sample_rate / 1000) for ms in (section.frame_ms, section.step_ms, section.tail_ms)
    )
    mel = LogMel(section.sample_rate, length, step, section.mel_bands)
    frames = np.concatenate([mel(samples) for samples in recordings]).astype(np.float64)
    return SoundSpec(
        sample_rate=section.sample_rate,
        frame_length=length,
        frame_step=step,
        mel_bands=section.mel_bands,
        stack=section.stack,
        tail=tail,
        mean=tuple(frames.mean(axis=0).tolist()),
        scale=tuple(np.maximum(frames.std(axis=0), 1e-3).tolist()),
    )
