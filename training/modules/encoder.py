"""The source, embedded and read by a recurrent stack."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from service.bundle.tokenizer import UNK
from training.config import EncoderSection
from training.modules.cells import State, build_stack, run_stack
from training.modules.dropout import dropout_of


class Encoder(nn.Module):
    """Embedding and recurrence.

    Weights: `embedding.weight` [vocab, embedding]; `recurrence.*` as in `cells.build_stack`.
    """

    def __init__(
        self, section: EncoderSection, embedding: nn.Embedding, dropout: float, token_dropout: float
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.dropout = dropout_of(dropout, section.variational)
        self.token_dropout = token_dropout
        self.recurrence = build_stack(
            section.cell,
            embedding.embedding_dim,
            section.hidden,
            section.layers,
            dropout,
            section.bidirectional,
            residual=section.residual,
            norm=section.norm,
            variational=section.variational,
            weight_dropout=section.weight_dropout,
        )
        self.directions = 2 if section.bidirectional else 1
        self.size = section.hidden * self.directions

    def forward(self, source: Tensor, lengths: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """`source` [batch, time] and `lengths` [batch] to outputs [batch, time, directions * hidden] and the state.

        Each source's state is the one after its own last position.
        """
        embedded = self.dropout(self.embedding(self._drop_tokens(source)))
        if int(lengths.min()) == source.shape[1]:
            outputs, final = run_stack(self.recurrence, embedded, state)
            assert isinstance(outputs, Tensor)
            return outputs, final
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        outputs, final = run_stack(self.recurrence, packed, state)
        assert isinstance(outputs, PackedSequence)
        return pad_packed_sequence(outputs, batch_first=True, total_length=source.shape[1])[0], final

    def top(self, state: State) -> Tensor:
        """The last layer's h of a state, both directions side by side: [batch, directions * hidden]."""
        return torch.cat(list(state[0][-self.directions :]), dim=-1)

    def _drop_tokens(self, source: Tensor) -> Tensor:
        if not self.training or not self.token_dropout:
            return source
        return source.masked_fill(torch.rand(source.shape, device=source.device) < self.token_dropout, UNK)


def position_mask(lengths: Tensor, time: int, device: torch.device) -> Tensor:
    """True at real positions: [batch, time]."""
    return torch.arange(time, device=device)[None, :] < lengths.to(device)[:, None]
