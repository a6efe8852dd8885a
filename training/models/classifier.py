"""A label for a sequence."""

from typing import Self

import torch
from torch import Tensor, nn

from training.config import ClassificationRecipe, ClassifierSection
from training.data.vocabulary import Vocabulary
from training.modules.attention import MASKED
from training.modules.encoder import Encoder, position_mask
from training.modules.word_counts import WordCounts


class Classifier(nn.Module):
    """Encoder, pooling over time, linear layer; and, beside them, what the words tell by themselves.

    Weights: `encoder.*` as in its class; `output.weight` [labels, directions * hidden], `output.bias` [labels];
    `counts.*` as in `WordCounts`, where there are any.
    """

    def __init__(self, section: ClassifierSection, vocab_size: int, num_labels: int) -> None:
        super().__init__()
        embedding = nn.Embedding(vocab_size, section.embedding)
        self.pooling = section.pooling
        self.encoder = Encoder(section.encoder, embedding, section.dropout, section.token_dropout)
        self.dropout = nn.Dropout(section.dropout)
        self.output = nn.Linear(self.encoder.size, num_labels)
        self.counts = WordCounts(vocab_size, num_labels) if section.word_counts else None

    @classmethod
    def from_recipe(cls, recipe: ClassificationRecipe, vocabulary: Vocabulary) -> Self:
        """With fresh weights."""
        return cls(recipe.model, vocabulary.tokenizer.size, len(vocabulary.labels))

    def forward(self, source: Tensor, lengths: Tensor, left_out: Tensor | None = None) -> Tensor:
        """`source` [batch, time] to logits [batch, labels].

        `left_out` [batch]: the labels of training texts, which word counts are to judge as if they had not seen them.
        """
        logits: Tensor = self.output(self.dropout(self.pool(source, lengths)))
        if self.counts is None:
            return logits
        told: Tensor = self.counts(source, position_mask(lengths, source.shape[1], source.device), left_out)
        return logits + told

    def pool(self, source: Tensor, lengths: Tensor) -> Tensor:
        """One vector per text: [batch, directions * hidden]."""
        outputs, final = self.encoder(source, lengths)
        if self.pooling == "last":
            return self.encoder.top(final)
        mask = position_mask(lengths, source.shape[1], source.device)
        return torch.amax(outputs.masked_fill(~mask[:, :, None], MASKED), dim=1)
