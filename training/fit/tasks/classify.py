"""Classification: a label for a text."""

from operator import attrgetter
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.config import ClassificationRecipe
from training.data.batches import Batch, Example, Plan
from training.data.readers import DataError, Labelled, read_both, read_labelled
from training.data.tokenizers import learn_tokenizer
from training.data.vocabulary import Vocabulary
from training.fit.agreement import disagreement, doubled
from training.fit.tasks.base import Objective, Task
from training.fit.tasks.cuts import Cuts, kept_within
from training.models.classifier import Classifier


class ClassificationObjective(Objective[Classifier]):
    """Summed loss of the labels; while training, each member's own, smoothed, and `r_drop` times how much two passes
    of a member disagree.
    """

    def __init__(self, model: Classifier, smoothing: float, r_drop: float = 0.0) -> None:
        super().__init__(model)
        self.smoothing, self.r_drop = smoothing, r_drop

    def forward(self, batch: Batch) -> Tensor:
        if not self.training:
            logits = self.model(batch.source, batch.lengths).float()
            return cross_entropy(logits, batch.target[:, 0], reduction="sum")
        if not self.r_drop:
            return self._loss(self._every(batch), batch)
        twice = doubled(batch)
        every = self._every(twice)
        apart = disagreement(every.transpose(0, 1).log_softmax(-1)).mean(1)
        return self._loss(every, twice) / 2 + self.r_drop * apart.sum()

    def _every(self, batch: Batch) -> Tensor:
        """The logits of each member: [members, batch, labels]."""
        return self.model.every(batch.source, batch.lengths, left_out=batch.target[:, 0]).float()

    def _loss(self, every: Tensor, batch: Batch) -> Tensor:
        labels = batch.target[:, 0].repeat(len(every))
        loss = cross_entropy(every.flatten(0, 1), labels, label_smoothing=self.smoothing, reduction="sum")
        return loss / len(every)

    def count(self, batch: Batch) -> int:
        """Texts."""
        return len(batch.target)


class Classification(Task[ClassificationRecipe, Classifier]):
    """Labelled texts: a source is a text's subwords alone, a target the index of its label."""

    def __init__(self, recipe: ClassificationRecipe, root: Path, given: Vocabulary) -> None:
        super().__init__(recipe, root, given)
        data = recipe.data
        train, dev = read_both(lambda files: read_labelled(root, files, data), data, attrgetter("text"))
        tokenizer = given.subwords or learn_tokenizer((example.text for example in train), recipe.tokenizer)
        self.vocabulary = Vocabulary(tokenizer, sorted({example.label for example in train}))
        self._cuts = Cuts.of(recipe, self.vocabulary.tokenizer)
        texts = [text for text in train if self.vocabulary.tokenizer.encode(text.text)]
        self._texts, self.train = kept_within(texts, self._examples(texts), data.max_length)
        self.dev = self._examples(dev)

    def plan(self, epoch: int) -> Plan:
        self._cuts.epoch = epoch
        return super().plan(epoch)

    def example(self, index: int) -> Example:
        known = super().example(index)
        if not self._cuts:
            return known
        return Example(self._cuts.of_text(self._texts[index].text, index), known.target)

    def objective(self) -> ClassificationObjective:
        model = Classifier.from_recipe(self._recipe, self.vocabulary)
        if model.counts is not None:
            model.counts.count(([*map(int, one.source)], int(one.target[0])) for one in self.train)
        training = self._recipe.training
        return ClassificationObjective(model, training.label_smoothing, training.r_drop)

    def scores(self, model: Classifier, device: torch.device) -> dict[str, float]:
        """Accuracy on dev."""
        right = sum(_count_right(model, batch.to(device)) for batch in self.dev_batches())
        return {"accuracy": 100 * right / len(self.dev)}

    def _examples(self, texts: list[Labelled]) -> list[Example]:
        index = {label: number for number, label in enumerate(self.vocabulary.labels)}
        unknown = {text.label for text in texts} - index.keys()
        if unknown:
            raise DataError(f"labels that do not occur in data.train: {', '.join(sorted(unknown))}")
        sources = self.vocabulary.tokenizer.encode_batch([text.text for text in texts])
        pairs = zip(sources, texts, strict=True)
        return [Example(ids, [index[text.label]]) for ids, text in pairs if ids]


def _count_right(model: Classifier, batch: Batch) -> int:
    return int((model(batch.source, batch.lengths).argmax(-1) == batch.target[:, 0]).sum())
