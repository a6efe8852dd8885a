"""Labels for words: what taggers learn, and models that leave words out."""

from collections.abc import Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from service.bundle.deletion import kept_text
from service.bundle.transitions import Array, best_labels
from service.bundle.words import Word, subwords_of, words_of
from training.config import CompressionRecipe, TagRecipe
from training.data.batches import Batch, Example, pad, plan_batches
from training.data.deletion import DROP, KEEP, LABELS, kept_words
from training.data.readers import (
    Compressed,
    DataError,
    Tagged,
    Words,
    read_both,
    read_compressed,
    read_tagged,
)
from training.data.scores import score_deletions, score_labels, score_spans
from training.data.tokenizers import learn_tokenizer
from training.data.vocabulary import Vocabulary
from training.fit.agreement import disagreement, doubled
from training.fit.tasks.base import DEV_TOKENS, Objective, Task, within
from training.models.tagger import Logits, Tagger

R = TypeVar("R", TagRecipe, CompressionRecipe)

NONE = -1
"""The target of a position that has no label: a subword that does not end its word, and padding."""


class TagObjective(Objective[Tagger]):
    """Summed loss of the words' labels, and of the text's where it has one. While training, smoothed (but not where
    labels are chosen together), and `r_drop` times how much two passes disagree about each label: of labels that
    are chosen together, what is said of each word by itself.
    """

    def __init__(self, model: Tagger, smoothing: float, r_drop: float = 0.0) -> None:
        super().__init__(model)
        self.smoothing, self.r_drop = smoothing, r_drop

    def forward(self, batch: Batch) -> Tensor:
        if not (self.training and self.r_drop):
            return self._losses(self.model(batch.source, batch.lengths), batch)
        twice = doubled(batch)
        logits = self.model(twice.source, twice.lengths)
        return self._losses(logits, twice) / 2 + self.r_drop * _apart(logits, batch)

    def _losses(self, logits: Logits, batch: Batch) -> Tensor:
        target = batch.target[:, 1:]
        if self.model.chain:
            loss = self.model.chain.loss(*_words(logits.positions.float(), target))
        else:
            loss = self._loss(logits.positions.flatten(0, 1), target.flatten())
        return loss if logits.texts is None else loss + self._loss(logits.texts, batch.target[:, 0])

    def count(self, batch: Batch) -> int:
        """Labels."""
        return max(1, int((batch.target != NONE).sum()))

    def _loss(self, logits: Tensor, target: Tensor) -> Tensor:
        smoothing = self.smoothing if self.training else 0.0
        return cross_entropy(
            logits.float(), target, ignore_index=NONE, label_smoothing=smoothing, reduction="sum"
        )


class WordLabels(Task[R, Tagger]):
    """A source is the subwords of a text's words; a target the text's label and one for each position."""

    def objective(self) -> TagObjective:
        model = Tagger.from_recipe(self._recipe, self.vocabulary)
        training = self._recipe.training
        return TagObjective(model, training.label_smoothing, training.r_drop)

    def collate(self, examples: Sequence[Example]) -> Batch:
        lengths = torch.tensor([len(example.source) for example in examples])
        return Batch(pad([x.source for x in examples]), lengths, pad([x.target for x in examples], NONE))

    def answers(self, model: Tagger, device: torch.device) -> tuple[list[list[str]], list[str]]:
        """Labels of the words of each dev text, and labels of the texts where there are any."""
        words: list[list[str]] = [[]] * len(self.dev)
        texts = [""] * len(self.dev)
        transitions = model.chain.transitions() if model.chain else None
        for rows in plan_batches(self.dev, DEV_TOKENS):
            batch = self.collate([self.dev[index] for index in rows]).to(device)
            logits = model(batch.source, batch.lengths)
            for index, scores in zip(rows, _scores(logits.positions, batch.target[:, 1:]), strict=True):
                words[index] = [self.vocabulary.labels[best] for best in best_labels(scores, transitions)]
            if logits.texts is not None:
                for index, label in zip(rows, logits.texts.argmax(-1).tolist(), strict=True):
                    texts[index] = self.vocabulary.text_labels[label]
        return words, texts

    def _example(self, words: Sequence[str], labels: Sequence[str], text_label: str = "") -> Example:
        ids, ends = subwords_of(self.vocabulary.tokenizer, words)
        target = [NONE] * (1 + len(ids))
        if text_label:
            target[0] = _index(self.vocabulary.text_labels, text_label)
        for end, label in zip(ends, labels, strict=True):
            target[1 + end] = _index(self.vocabulary.labels, label)
        return Example(ids, target)


class Tagging(WordLabels[TagRecipe]):
    """Texts with a label for each word."""

    def __init__(self, recipe: TagRecipe, root: Path, given: Vocabulary) -> None:
        super().__init__(recipe, root, given)
        data = recipe.data
        train, self._dev = read_both(lambda files: read_tagged(root, files, data), data, attrgetter("text"))
        cut = [text.words(data.words) for text in train]
        tokenizer = given.subwords or learn_tokenizer(
            (" ".join(text.words) for text in cut), recipe.tokenizer
        )
        self.vocabulary = Vocabulary(
            tokenizer,
            sorted({label for text in cut for label in text.labels}),
            sorted({text.text_label for text in train} - {""}),
        )
        self._dev_words = [text.words(data.words) for text in self._dev]
        self.train = within(self._examples(train, cut), data.max_length)
        self.dev = self._examples(self._dev, self._dev_words)

    def scores(self, model: Tagger, device: torch.device) -> dict[str, float]:
        """F1 of the spans on dev, and the share of right labels of texts."""
        words, texts = self.answers(model, device)
        pairs = zip(self._dev, self._dev_words, words, strict=True)
        labels = [text.label_tokens(cut, found) for text, cut, found in pairs]
        scores = {"f1": score_spans(labels, [text.labels for text in self._dev]).f1}
        if self.vocabulary.text_labels:
            scores["accuracy"] = score_labels(texts, [text.text_label for text in self._dev])
        return scores

    def _examples(self, texts: Sequence[Tagged], cut: Sequence[Words]) -> list[Example]:
        pairs = zip(texts, cut, strict=True)
        return [self._example(words.words, words.labels, text.text_label) for text, words in pairs]


class Compression(WordLabels[CompressionRecipe]):
    """Sentences whose words are kept or dropped."""

    def __init__(self, recipe: CompressionRecipe, root: Path, given: Vocabulary) -> None:
        super().__init__(recipe, root, given)
        data = recipe.data
        train, self._dev = read_both(
            lambda files: read_compressed(root, files, data), data, attrgetter("text")
        )
        tokenizer = given.subwords or learn_tokenizer(
            (" ".join(word.text for word in self._cut(each.text)) for each in train), recipe.tokenizer
        )
        self.vocabulary = Vocabulary(tokenizer, LABELS)
        self.train = within([self._compressed(each) for each in train], data.max_length)
        self.dev = [self._compressed(each) for each in self._dev]

    def scores(self, model: Tagger, device: torch.device) -> dict[str, float]:
        """F1 of the words that are left, and how much of the text that is."""
        labels, _ = self.answers(model, device)
        outputs = [
            kept_text(each.text, self._cut(each.text), [label == KEEP for label in found])
            for each, found in zip(self._dev, labels, strict=True)
        ]
        score = score_deletions(
            outputs, [each.shorter for each in self._dev], [each.text for each in self._dev]
        )
        return {"f1": score.f1, "ratio": score.ratio}

    def _cut(self, text: str) -> list[Word]:
        return words_of(text, self._recipe.data.words)

    def _compressed(self, example: Compressed) -> Example:
        words, shorter = ([word.text for word in self._cut(side)] for side in example)
        kept = kept_words(words, shorter)
        return self._example(words, [KEEP if is_kept else DROP for is_kept in kept])


def _apart(logits: Logits, batch: Batch) -> Tensor:
    """How much both halves of `logits` disagree about what has a label, summed."""
    words = disagreement(logits.positions.float().log_softmax(-1))
    apart = (words * (batch.target[:, 1:] != NONE)).sum()
    if logits.texts is None:
        return apart
    texts = disagreement(logits.texts.float().log_softmax(-1))
    return apart + (texts * (batch.target[:, 0] != NONE)).sum()


def _words(positions: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What is said at each word's last subword: [batch, words, ·], the words' labels, and how many words there are."""
    ends = target != NONE
    lengths = ends.sum(1)
    order = (~ends).int().argsort(dim=1, stable=True)[:, : int(lengths.max())]
    scores = positions.gather(1, order[:, :, None].expand(-1, -1, positions.shape[2]))
    return scores, target.gather(1, order), lengths


def _scores(positions: Tensor, target: Tensor) -> Iterator[Array]:
    """Of the words of each text: [words, labels]."""
    scores, _, lengths = _words(positions.float(), target)
    for row, length in zip(scores.cpu().numpy(), lengths.tolist(), strict=True):
        yield row[:length]


def _index(labels: Sequence[str], label: str) -> int:
    if label not in labels:
        raise DataError(f"label {label!r} does not occur in data.train")
    return labels.index(label)
