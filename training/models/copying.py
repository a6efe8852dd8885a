"""A sequence written from a sequence, whose words may be copied (pointer-generator; See et al. 2017 section 2.2)."""

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from service.bundle.tokenizer import PAD
from training.config import Seq2SeqSection, SummaryRecipe
from training.data.vocabulary import Vocabulary
from training.models.seq2seq import Seq2Seq
from training.modules.attention import Memory
from training.modules.cells import State

LEAST = 1e-10
"""Below any probability that matters; its logarithm is a number."""


class CopyMemory(NamedTuple):
    """What is fixed while a target is written: what is looked at, and its tokens [batch, source_time]."""

    looked_at: Memory
    source: Tensor


class CopyingSeq2Seq(nn.Module):
    """P(w) = g P_vocabulary(w) + (1 - g) Σ a_i over all i where w stands in the source; g = σ(v r + c).

    r is the readout, which has seen the state and the context; a is the attention. See et al. let g see the input, too,
    which here comes to it through the state alone. Subwords can write any word, so the vocabulary needs no extension.


    Weights: `writer.*` as in Seq2Seq; `gate.weight` v [1, embedding], `gate.bias` c [1].
    """

    def __init__(self, section: Seq2SeqSection, vocab_size: int) -> None:
        super().__init__()
        self.writer = Seq2Seq(section, vocab_size)
        self.gate = nn.Linear(section.embedding, 1)

    @property
    def output(self) -> nn.Linear:
        """What makes logits of the readout."""
        return self.writer.output

    @classmethod
    def from_recipe(cls, recipe: SummaryRecipe, vocabulary: Vocabulary) -> Self:
        """With fresh weights."""
        return cls(recipe.model, vocabulary.tokenizer.size)

    def losses(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        """-log P of each token of `target` [batch, 1 + time] after its first; zero at padding: [batch, time].

        Only the wanted tokens' probabilities are computed: the whole distribution is not.
        """
        given, wanted = target[:, :-1], target[:, 1:]
        memory, state = self.writer.encode(source, lengths)
        readouts, _, weights = self.writer.decoder(given, state, memory)
        logits = self.writer.output(readouts).float()
        written = logits.gather(-1, wanted[..., None])[..., 0] - logits.logsumexp(-1)
        stands_there = wanted[:, :, None] == source[:, None, :]
        copied = (weights.float() * stands_there).sum(-1)
        gate = self.gate(readouts)[..., 0].float()
        both = torch.logaddexp(logsigmoid(gate) + written, logsigmoid(-gate) + copied.clamp_min(LEAST).log())
        return -both * (wanted != PAD)

    def log_probs(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        """log P of every token at each place of `target` [batch, 1 + time] after its first: [batch, time, vocab]."""
        memory, state = self.writer.encode(source, lengths)
        readouts, _, weights = self.writer.decoder(target[:, :-1], state, memory)
        return self._both(readouts, weights, source)

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[CopyMemory, State]:
        """What stays fixed while the target is written, and the decoder's first state."""
        memory, state = self.writer.encode(source, lengths)
        return CopyMemory(memory, source), state

    def step(self, token: Tensor, state: State, memory: CopyMemory) -> tuple[Tensor, State, Tensor]:
        """One `token` [batch] to log P [batch, vocab], the next state, attention weights [batch, source_time]."""
        readouts, state, weights = self.writer.decoder(token[:, None], state, memory.looked_at)
        return self._both(readouts, weights, memory.source)[:, 0], state, weights[:, 0]

    def _both(self, readouts: Tensor, weights: Tensor, source: Tensor) -> Tensor:
        """log P, written or copied: [batch, time, vocab]."""
        gate = self.gate(readouts).float()
        written = torch.sigmoid(gate) * torch.softmax(self.writer.output(readouts).float(), -1)
        places = source[:, None].expand_as(weights)
        both = written.scatter_add(-1, places, torch.sigmoid(-gate) * weights.float())
        return both.clamp_min(LEAST).log()

    first_token = staticmethod(Seq2Seq.first_token)
