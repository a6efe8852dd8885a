"""What writes the target: first state, recurrence, attention, readout."""

import torch
from torch import Tensor, nn

from training.config import DecoderSection
from training.modules.attention import ATTENTIONS, Memory
from training.modules.cells import STATES, State, build_stack, run_stack
from training.modules.dropout import dropout_of


class Bridge(nn.Module):
    """The decoder's first state: tanh(W s + b) of the encoder's final top h, for every layer and state tensor.

    Weights: `{tensor}.{layer}.weight` [hidden, encoder] and `.bias` [hidden]; tensor 0 is h, 1 is an LSTM's c.
    """

    def __init__(self, encoder: int, section: DecoderSection) -> None:
        super().__init__()
        for tensor in range(STATES[section.cell]):
            layers = [nn.Linear(encoder, section.hidden) for _ in range(section.layers)]
            self.add_module(str(tensor), nn.ModuleList(layers))

    def forward(self, top: Tensor) -> State:
        """`top` [batch, encoder] to a state of [layers, batch, hidden]."""
        parts = [module for module in self.children() if isinstance(module, nn.ModuleList)]
        return tuple(torch.stack([torch.tanh(linear(top)) for linear in layers]) for layers in parts)


class Zero(nn.Module):
    """A first state of zeros: what is written does not depend on how much of the source was read when it began."""

    def __init__(self, section: DecoderSection) -> None:
        super().__init__()
        self.tensors, self.layers, self.hidden = STATES[section.cell], section.layers, section.hidden

    def forward(self, top: Tensor) -> State:
        """`top` [batch, encoder] to a state of [layers, batch, hidden]."""
        return tuple(top.new_zeros(self.layers, len(top), self.hidden) for _ in range(self.tensors))


class Readout(nn.Module):
    """tanh(W h + C c + b): what is compared with every subword's vector (Luong et al. 2015 §3, Eq. 5).

    Weights: `hidden.weight` [embedding, hidden], `hidden.bias` [embedding], and unless there is no attention
    `context.weight` [embedding, encoder].
    """

    def __init__(self, hidden: int, context: int, embedding: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(hidden, embedding)
        self.context = nn.Linear(context, embedding, bias=False) if context else None

    def forward(self, hidden: Tensor, context: Tensor) -> Tensor:
        """[batch, time, hidden] and [batch, time, encoder] to [batch, time, embedding]."""
        mixed = self.hidden(hidden)
        if self.context is not None:
            mixed = mixed + self.context(context)
        return torch.tanh(mixed)


class Decoder(nn.Module):
    """Embedding, bridge, recurrence, attention and readout.

    Weights: `embedding.weight` [vocab, embedding]; `bridge.*`, `attention.*`, `readout.*` as in their classes;
    `recurrence.*` as in `cells.build_stack`, its input being the embedding, followed by the context with Bahdanau.
    """

    def __init__(
        self, section: DecoderSection, embedding: nn.Embedding, encoder: int, dropout: float
    ) -> None:
        super().__init__()
        size = embedding.embedding_dim
        self.embedding = embedding
        self.dropout = dropout_of(dropout, section.variational)
        self.bridge = Zero(section) if section.first_state == "zero" else Bridge(encoder, section)
        self.attention = ATTENTIONS[section.attention](encoder, section.hidden)
        inputs = size + (self.attention.size if self.attention.before_cell else 0)
        self.recurrence = build_stack(
            section.cell,
            inputs,
            section.hidden,
            section.layers,
            dropout,
            residual=section.residual,
            norm=section.norm,
            variational=section.variational,
            weight_dropout=section.weight_dropout,
        )
        self.readout = Readout(section.hidden, self.attention.size, size)

    def forward(self, target: Tensor, state: State, memory: Memory) -> tuple[Tensor, State, Tensor]:
        """`target` [batch, time] to readouts [batch, time, embedding], state, weights [batch, time, source_time]."""
        embedded = self.dropout(self.embedding(target))
        run = self._step_by_step if self.attention.before_cell else self._at_once
        hidden, context, weights, state = run(embedded, state, memory)
        return self.dropout(self.readout(hidden, context)), state, weights

    def _at_once(
        self, embedded: Tensor, state: State, memory: Memory
    ) -> tuple[Tensor, Tensor, Tensor, State]:
        hidden, state = run_stack(self.recurrence, embedded, state)
        assert isinstance(hidden, Tensor)
        context, weights = self.attention(hidden, memory)
        return hidden, context, weights, state

    def _step_by_step(
        self, embedded: Tensor, state: State, memory: Memory
    ) -> tuple[Tensor, Tensor, Tensor, State]:
        steps = []
        for now in torch.split(embedded, 1, dim=1):
            context, weights = self.attention(state[0][-1][:, None], memory)
            hidden, state = run_stack(self.recurrence, torch.cat([now, context], dim=-1), state)
            assert isinstance(hidden, Tensor)
            steps.append((hidden, context, weights))
        hidden, context, weights = (torch.cat(parts, dim=1) for parts in zip(*steps, strict=True))
        return hidden, context, weights, state
