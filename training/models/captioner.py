"""A description of a feature vector: the shape of image captioning (Vinyals et al. 2015 §3), the vector being given."""

from typing import Self

import torch
from torch import Tensor, nn

from training.config import CaptionRecipe, CaptionSection
from training.data.vocabulary import Vocabulary
from training.models.seq2seq import Seq2Seq
from training.modules.cells import State
from training.modules.decoder import Decoder


class Projection(nn.Module):
    """tanh(W v + b), in the place of an encoder.

    Weights: `linear.weight` [size, dim], `linear.bias` [size].
    """

    def __init__(self, dim: int, size: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(dim, size)
        self.size = size

    def forward(self, vectors: Tensor, lengths: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """`vectors` [batch, 1, dim] to outputs [batch, 1, size] and what stands for a state."""
        outputs = torch.tanh(self.linear(self.dropout(vectors)))
        return outputs, (outputs.transpose(0, 1),)

    def top(self, state: State) -> Tensor:
        """[batch, size]."""
        return state[0][-1]


class Captioner(Seq2Seq):
    """Projection, decoder and output layer, which shares the matrix of the decoder's embedding.

    Weights: `encoder.*` as in `Projection`, `decoder.*` as in its class, `output.weight` [vocab, embedding],
    `output.bias` [vocab].
    """

    def __init__(self, section: CaptionSection, dim: int, vocab_size: int) -> None:
        nn.Module.__init__(self)
        embedding = nn.Embedding(vocab_size, section.embedding)
        nn.init.normal_(embedding.weight, std=section.embedding**-0.5)
        self.encoder = Projection(dim, section.size, section.dropout)  # type: ignore[assignment]
        self.decoder = Decoder(section.decoder, embedding, section.size, section.dropout)
        self.output = nn.Linear(section.embedding, vocab_size)
        nn.init.zeros_(self.output.bias)
        self.output.weight = embedding.weight

    @classmethod
    def from_recipe(cls, recipe: CaptionRecipe, vocabulary: Vocabulary) -> Self:  # type: ignore[override]
        """With fresh weights."""
        return cls(recipe.model, vocabulary.spec.dim, vocabulary.tokenizer.size)

    @property
    def projection(self) -> Projection:
        """What stands in the place of an encoder."""
        encoder: nn.Module = self.encoder
        assert isinstance(encoder, Projection)
        return encoder
