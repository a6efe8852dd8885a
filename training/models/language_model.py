"""What comes next in a text."""

from typing import Self

from torch import Tensor, nn

from training.config.generate import ChatRecipe, LanguageModelRecipe, LanguageModelSection
from training.data.vocabulary import Vocabulary
from training.modules.cells import State
from training.modules.encoder import Encoder


class LanguageModel(nn.Module):
    """A one-way encoder and a linear layer (Mikolov et al. 2010).

    Weights: `encoder.*` as in its class; `output.weight` [vocab, hidden], `output.bias` [vocab].
    """

    def __init__(self, section: LanguageModelSection, vocab_size: int) -> None:
        super().__init__()
        embedding = nn.Embedding(vocab_size, section.embedding)
        self.encoder = Encoder(section.encoder, embedding, section.dropout, section.token_dropout)
        self.dropout = nn.Dropout(section.dropout)
        self.output = nn.Linear(self.encoder.size, vocab_size)
        nn.init.zeros_(self.output.bias)
        if section.tied:
            nn.init.normal_(embedding.weight, std=section.embedding**-0.5)
            self.output.weight = embedding.weight

    @classmethod
    def from_recipe(cls, recipe: LanguageModelRecipe | ChatRecipe, vocabulary: Vocabulary) -> Self:
        """With fresh weights."""
        return cls(recipe.model, vocabulary.tokenizer.size)

    def forward(self, source: Tensor, lengths: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """`source` [batch, time] to logits of what comes next [batch, time, vocab], and the state."""
        readouts, state = self.read(source, lengths, state)
        return self.output(readouts), state

    def read(self, source: Tensor, lengths: Tensor, state: State | None) -> tuple[Tensor, State]:
        """What the linear layer turns into logits [batch, time, hidden], and the state after each row's end."""
        outputs, state = self.encoder(source, lengths, state)
        return self.dropout(outputs), state
