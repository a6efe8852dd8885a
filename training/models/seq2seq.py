"""A sequence written from a sequence."""

from typing import Self

import torch
from torch import Tensor, nn

from service.bundle.tokenizer import BOS
from training.config import Seq2SeqSection, TranslationRecipe
from training.data.vocabulary import Vocabulary
from training.modules.attention import Memory
from training.modules.cells import State
from training.modules.decoder import Decoder
from training.modules.encoder import Encoder, position_mask


class Seq2Seq(nn.Module):
    """Encoder, decoder and output layer.

    Weights: `encoder.*`, `decoder.*` as in their classes; `output.weight` [vocab, embedding], `output.bias` [vocab].
    Matrices that are tied appear in the state dict under each of their names.
    """

    def __init__(self, section: Seq2SeqSection, vocab_size: int) -> None:
        super().__init__()
        source, target = (_embedding(vocab_size, section.embedding) for _ in range(2))
        if section.tied == "all":
            target = source
        self.encoder = Encoder(section.encoder, source, section.dropout, section.token_dropout)
        self.decoder = Decoder(section.decoder, target, self.encoder.size, section.dropout)
        self.output = nn.Linear(section.embedding, vocab_size)
        nn.init.zeros_(self.output.bias)
        if section.tied != "none":
            self.output.weight = target.weight

    @classmethod
    def from_recipe(cls, recipe: TranslationRecipe, vocabulary: Vocabulary) -> Self:
        """With fresh weights."""
        return cls(recipe.model, vocabulary.tokenizer.size)

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        """`source` [batch, source_time], `target` [batch, time] to logits [batch, time, vocab]."""
        logits: Tensor = self.output(self.readouts(source, lengths, target))
        return logits

    def readouts(
        self, source: Tensor, lengths: Tensor, target: Tensor, visible: Tensor | None = None
    ) -> Tensor:
        """What the output layer turns into logits: [batch, time, embedding].

        `visible` [batch, time, source_time]: what each target position may look at; None: all of the source.
        """
        memory, state = self.encode(source, lengths)
        if visible is not None:
            memory = memory._replace(mask=memory.mask[:, None] & visible)
        readouts, _, _ = self.decoder(target, state, memory)
        assert isinstance(readouts, Tensor)
        return readouts

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Memory, State]:
        """What stays fixed while the target is written, and the decoder's first state."""
        outputs, final = self.encoder(source, lengths)
        mask = position_mask(lengths, source.shape[1], source.device)
        keys = self.decoder.attention.project(outputs)
        return Memory(outputs, keys, mask), self.decoder.bridge(self.encoder.top(final))

    def step(self, token: Tensor, state: State, memory: Memory) -> tuple[Tensor, State, Tensor]:
        """One `token` [batch] to logits [batch, vocab], the next state, attention weights [batch, source_time]."""
        readouts, state, weights = self.decoder(token[:, None], state, memory)
        return self.output(readouts)[:, 0], state, weights[:, 0]

    @staticmethod
    def first_token(batch: int, device: torch.device) -> Tensor:
        """What every target begins with: [batch]."""
        return torch.full((batch,), BOS, device=device)


def _embedding(vocab_size: int, size: int) -> nn.Embedding:
    table = nn.Embedding(vocab_size, size)
    nn.init.normal_(table.weight, std=size**-0.5)  # logits of a tied output then begin near one
    return table
