"""A label for a sequence."""

from typing import Self

import torch
from torch import Tensor, nn

from training.config import ClassificationRecipe, ClassifierSection
from training.data.vocabulary import Vocabulary
from training.modules.attention import MASKED
from training.modules.encoder import Encoder, position_mask
from training.modules.word_counts import WordCounts


class Member(nn.Module):
    """Encoder, pooling over time, linear layer.

    Weights: `encoder.*` as in its class; `output.weight` [labels, pooled], `output.bias` [labels], pooled being
    directions * hidden, or twice that for "last-max".
    """

    def __init__(self, section: ClassifierSection, vocab_size: int, num_labels: int) -> None:
        super().__init__()
        embedding = nn.Embedding(vocab_size, section.embedding)
        self.pooling = section.pooling
        self.encoder = Encoder(section.encoder, embedding, section.dropout, section.token_dropout)
        self.dropout = nn.Dropout(section.dropout)
        sides = 2 if section.pooling == "last-max" else 1
        self.output = nn.Linear(sides * self.encoder.size, num_labels)

    def scores(self, source: Tensor, lengths: Tensor) -> Tensor:
        """`source` [batch, time] to [batch, labels]."""
        scores: Tensor = self.output(self.dropout(self.pool(source, lengths)))
        return scores

    def pool(self, source: Tensor, lengths: Tensor) -> Tensor:
        """One vector per text: [batch, pooled]."""
        outputs, final = self.encoder(source, lengths)
        last = self.encoder.top(final)
        if self.pooling == "last":
            return last
        mask = position_mask(lengths, source.shape[1], source.device)
        largest = torch.amax(outputs.masked_fill(~mask[:, :, None], MASKED), dim=1)
        return largest if self.pooling == "max" else torch.cat([last, largest], -1)


class Classifier(Member):
    """The mean of its members, of which it is the first; and, beside them, what the words tell by themselves.

    Weights: its own as a member; `others.*` of the further members; `counts.*` as in `WordCounts`, where there are any.
    """

    def __init__(self, section: ClassifierSection, vocab_size: int, num_labels: int) -> None:
        super().__init__(section, vocab_size, num_labels)
        others = (Member(section, vocab_size, num_labels) for _ in range(section.members - 1))
        self.others = nn.ModuleList(others)
        self.counts = WordCounts(vocab_size, num_labels) if section.word_counts else None

    @classmethod
    def from_recipe(cls, recipe: ClassificationRecipe, vocabulary: Vocabulary) -> Self:
        """With fresh weights."""
        return cls(recipe.model, vocabulary.tokenizer.size, len(vocabulary.labels))

    @property
    def members(self) -> list[Member]:
        """All of them, itself first."""
        return [self, *(other for other in self.others if isinstance(other, Member))]

    def forward(self, source: Tensor, lengths: Tensor) -> Tensor:
        """`source` [batch, time] to logits [batch, labels]."""
        return self.every(source, lengths).mean(0)

    def every(self, source: Tensor, lengths: Tensor, left_out: Tensor | None = None) -> Tensor:
        """The logits of each member: [members, batch, labels].

        `left_out` [batch]: the labels of training texts, which word counts are to judge as if they had not seen them.
        """
        scores = torch.stack([member.scores(source, lengths) for member in self.members])
        if self.counts is None:
            return scores
        real = position_mask(lengths, source.shape[1], source.device)
        told: Tensor = self.counts(source, real, left_out)
        return scores + told
