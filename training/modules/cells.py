"""Recurrent stacks: which cells there are, and how a stack is built and run.

A state is a tuple of tensors [layers * directions, batch, hidden]: (h, c) of an LSTM, (h,) of the others. h is between
-1 and 1, but for minGRU.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from training.modules.depth import DeepStack
from training.modules.dropout import drop_recurrent_weights, dropout_of
from training.modules.mingru import MinGru

State = tuple[Tensor, ...]
RecurrentStack = nn.RNNBase | DeepStack

CELLS: dict[str, Callable[..., nn.Module]] = {
    "rnn": nn.RNN,  # Elman 1990, with tanh
    "lstm": nn.LSTM,  # Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000
    "gru": nn.GRU,  # Cho et al. 2014 §2.3, the reset gate applied after the matrix product
    "mingru": MinGru,  # Feng et al. 2024 §3.1, without recurrent matrices
}

STATES: dict[str, int] = {"rnn": 1, "lstm": 2, "gru": 1, "mingru": 1}
"""Tensors in the state of each cell."""


def build_stack(
    cell: str,
    inputs: int,
    hidden: int,
    layers: int,
    dropout: float = 0.0,
    bidirectional: bool = False,
    *,
    residual: bool = False,
    norm: bool = False,
    variational: bool = False,
    weight_dropout: float = 0.0,
) -> RecurrentStack:
    """A stack as one PyTorch module, batch first; a `DeepStack` where PyTorch has none that does it.

    Weights of PyTorch's stacks, with the gates in PyTorch's order (LSTM i f g o, GRU r z n) and `_reverse` for the way
    back: `weight_ih_l{k}` [gates * hidden, inputs], `weight_hh_l{k}` [gates * hidden, hidden], `bias_ih_l{k}`,
    `bias_hh_l{k}` [gates * hidden].
    """
    if not (residual or norm or variational or cell == "mingru"):
        inside = dropout if layers > 1 else 0.0
        whole = _of_pytorch(cell, inputs, hidden, layers, dropout=inside, bidirectional=bidirectional)
        return _without_some_weights(whole, weight_dropout)
    single: list[nn.Module] = []
    for size in (inputs, *[hidden * (1 + bidirectional)] * (layers - 1)):
        if cell == "mingru":
            single.append(MinGru(size, hidden, bidirectional))
        else:
            one = _of_pytorch(cell, size, hidden, 1, bidirectional=bidirectional)
            single.append(_without_some_weights(one, weight_dropout))
    between = dropout_of(dropout, variational)
    return DeepStack(single, inputs, between, residual=residual, norm=norm)


def run_stack(
    stack: RecurrentStack, inputs: Tensor | PackedSequence, state: State | None = None
) -> tuple[Tensor | PackedSequence, State]:
    """Outputs and state after the last position of `inputs` [batch, time, inputs]."""
    given = state if state is None or len(state) > 1 else state[0]
    outputs, final = stack(inputs, given)
    return outputs, final if isinstance(final, tuple) else (final,)


def _of_pytorch(cell: str, *sizes: int, **options: Any) -> nn.RNNBase:
    stack = CELLS[cell](*sizes, batch_first=True, **options)
    assert isinstance(stack, nn.RNNBase)
    if cell == "lstm":
        _open_forget_gates(stack)
    return stack


def _without_some_weights(stack: nn.RNNBase, rate: float) -> nn.RNNBase:
    if rate:
        drop_recurrent_weights(stack, rate)
    return stack


def _open_forget_gates(stack: nn.RNNBase) -> None:
    """Forget biases start at one, so that early gradients pass (Jozefowicz et al. 2015 §5)."""
    with torch.no_grad():
        for name, bias in stack.named_parameters():
            if name.startswith("bias_ih"):
                bias[stack.hidden_size : 2 * stack.hidden_size].fill_(1.0)
