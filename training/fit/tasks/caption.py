"""Captions: a description written from a feature vector."""

from pathlib import Path

import numpy as np
import torch

from service.bundle.features import ReadingsSpec
from service.bundle.scaling import Scaler
from service.bundle.tokenizer import BOS, EOS
from training.config import CaptionRecipe
from training.data.batches import Example
from training.data.readers.described import Described, read_described
from training.data.scores import score_translations
from training.data.tokenizers import learn_tokenizer
from training.data.vocabulary import Vocabulary
from training.fit.tasks.base import Task, evenly, within
from training.fit.tasks.translate import TranslationObjective
from training.models.captioner import Captioner
from training.models.greedy import translate
from training.models.seq2seq import Seq2Seq


class Captioning(Task[CaptionRecipe, Seq2Seq]):
    """Vectors: a source is one scaled vector [1, dim]; a target begins with BOS and ends with EOS."""

    def __init__(self, recipe: CaptionRecipe, root: Path, given: Vocabulary) -> None:
        super().__init__(recipe, root, given)
        data = recipe.data
        train, self._dev = (read_described(root, files, data) for files in (data.train, data.dev))
        tokenizer = given.subwords or learn_tokenizer((one.text for one in train), recipe.tokenizer)
        self.vocabulary = Vocabulary(tokenizer, features=given.features or measured(train))
        self.train = within(self._examples(train), data.max_length)
        self.dev = self._examples(self._dev)

    def objective(self) -> TranslationObjective:
        model = Captioner.from_recipe(self._recipe, self.vocabulary)
        return TranslationObjective(model, self._recipe.training.label_smoothing)

    def scores(self, model: Seq2Seq, device: torch.device) -> dict[str, float]:
        """BLEU, and the share of descriptions that are right to the letter, greedily on evenly spaced dev vectors."""
        chosen = evenly(len(self.dev), self._recipe.training.score_examples)
        if not chosen:
            return {}
        batch = self.collate([self.dev[index] for index in chosen]).to(device)
        written = translate(model, batch.source, batch.lengths)
        texts = [self.vocabulary.tokenizer.decode(row) for row in written]
        wanted = [self._dev[index].text for index in chosen]
        right = sum(ours == theirs for ours, theirs in zip(texts, wanted, strict=True))
        return {"bleu": score_translations(texts, wanted).score, "exact": 100 * right / len(chosen)}

    def _examples(self, described: list[Described]) -> list[Example]:
        spec = self.vocabulary.spec
        assert isinstance(spec, ReadingsSpec)
        vectors = Scaler(spec).scale(np.stack([one.vector for one in described])).values
        texts = self.vocabulary.tokenizer.encode_batch([one.text for one in described])
        return [Example(vector[None], [BOS, *text, EOS]) for vector, text in zip(vectors, texts, strict=True)]


def measured(train: list[Described]) -> ReadingsSpec:
    """The spec with mean and deviation of each number."""
    vectors = np.stack([one.vector for one in train]).astype(np.float64)
    deviations = np.where(vectors.std(axis=0) > 0, vectors.std(axis=0), 1.0)
    return ReadingsSpec(
        names=tuple(f"v{number}" for number in range(vectors.shape[1])),
        mean=tuple(vectors.mean(axis=0).tolist()),
        scale=tuple(deviations.tolist()),
    )
