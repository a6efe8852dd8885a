"""A label for every position of a sequence."""

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from training.config import CompressionRecipe, TaggerSection, TagRecipe
from training.data.vocabulary import Vocabulary
from training.modules.attention import MASKED
from training.modules.chain import Chain
from training.modules.encoder import Encoder, position_mask


class Logits(NamedTuple):
    """Of positions [batch, time, labels], and of whole texts [batch, text_labels] where they have labels, too."""

    positions: Tensor
    texts: Tensor | None


class Tagger(nn.Module):
    """Encoder, linear layer, and where the recipe says so a chain over the labels; for whole texts a linear layer of
    each unit's maximum.

    Weights: `encoder.*` as in its class; `output.weight` [labels, directions * hidden], `output.bias` [labels];
    `chain.*` as in its class; `text_output.*` as `output.*`, with text labels only.
    """

    def __init__(
        self, section: TaggerSection, vocab_size: int, num_labels: int, num_text_labels: int = 0
    ) -> None:
        super().__init__()
        embedding = nn.Embedding(vocab_size, section.embedding)
        self.encoder = Encoder(section.encoder, embedding, section.dropout, section.token_dropout)
        self.dropout = nn.Dropout(section.dropout)
        self.output = nn.Linear(self.encoder.size, num_labels)
        self.chain = Chain(num_labels) if section.chain else None
        self.text_output = nn.Linear(self.encoder.size, num_text_labels) if num_text_labels else None

    @classmethod
    def from_recipe(cls, recipe: TagRecipe | CompressionRecipe, vocabulary: Vocabulary) -> Self:
        """With fresh weights."""
        return cls(
            recipe.model, vocabulary.tokenizer.size, len(vocabulary.labels), len(vocabulary.text_labels)
        )

    def forward(self, source: Tensor, lengths: Tensor) -> Logits:
        """`source` [batch, time]."""
        outputs, _ = self.encoder(source, lengths)
        positions = self.output(self.dropout(outputs))
        if self.text_output is None:
            return Logits(positions, None)
        mask = position_mask(lengths, source.shape[1], source.device)
        largest = torch.amax(outputs.masked_fill(~mask[:, :, None], MASKED), dim=1)
        return Logits(positions, self.text_output(self.dropout(largest)))
