"""Recurrent stacks: which cells there are, and how a stack is built and run.

A state is a tuple of tensors [layers * directions, batch, hidden]: (h, c) of an LSTM, (h,) of the others.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

State = tuple[Tensor, ...]

CELLS: dict[str, Callable[..., nn.RNNBase]] = {
    "rnn": nn.RNN,  # Elman 1990, with tanh
    "lstm": nn.LSTM,  # Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000
    "gru": nn.GRU,  # Cho et al. 2014 §2.3, the reset gate applied after the matrix product
}

STATES: dict[str, int] = {"rnn": 1, "lstm": 2, "gru": 1}
"""Tensors in the state of each cell."""


def build_stack(
    cell: str, inputs: int, hidden: int, layers: int, dropout: float = 0.0, bidirectional: bool = False
) -> nn.RNNBase:
    """A stack as one PyTorch module, batch first.

    Weights, with the gates in PyTorch's order (LSTM i f g o, GRU r z n) and `_reverse` for the way back:
    `weight_ih_l{k}` [gates * hidden, inputs], `weight_hh_l{k}` [gates * hidden, hidden], `bias_ih_l{k}`,
    `bias_hh_l{k}` [gates * hidden].
    """
    between = dropout if layers > 1 else 0.0
    stack = CELLS[cell](
        inputs, hidden, layers, batch_first=True, dropout=between, bidirectional=bidirectional
    )
    if cell == "lstm":
        _open_forget_gates(stack)
    return stack


def run_stack(
    stack: nn.RNNBase, inputs: Tensor | PackedSequence, state: State | None = None
) -> tuple[Tensor | PackedSequence, State]:
    """Outputs and state after the last position of `inputs` [batch, time, inputs]."""
    given = state if state is None or len(state) > 1 else state[0]
    outputs, final = stack(inputs, given)
    return outputs, final if isinstance(final, tuple) else (final,)


def _open_forget_gates(stack: nn.RNNBase) -> None:
    """Forget biases start at one, so that early gradients pass (Jozefowicz et al. 2015 §5)."""
    with torch.no_grad():
        for name, bias in stack.named_parameters():
            if name.startswith("bias_ih"):
                bias[stack.hidden_size : 2 * stack.hidden_size].fill_(1.0)
