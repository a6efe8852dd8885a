"""minGRU (Feng et al. 2024, "Were RNNs All We Needed?", §3.1): a GRU whose gates do not look at h.

    z = σ(W_z x + b_z)        h' = (1 - z) h + z n        n = W_n x + b_n

So all products are taken for all positions at once, and what is left of a step is element by element. h is not bounded
by one: n is linear in x.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from training.modules.linear_scan import linear_scan

CLOSED = -1.0
"""Where the bias of z starts: h is kept for a while, as in an LSTM whose forget gate starts open."""


class MinGru(nn.Module):
    """One layer, called as PyTorch's recurrent modules are.

    Weights, z above n, and `_reverse` for the way back: `weight_ih_l0` [2 * hidden, inputs], `bias_ih_l0` [2 * hidden].
    """

    def __init__(self, inputs: int, hidden: int, bidirectional: bool = False) -> None:
        super().__init__()
        self.hidden_size = hidden
        self.bidirectional = bidirectional
        for suffix in self._suffixes():
            linear = nn.Linear(inputs, 2 * hidden)
            nn.init.constant_(linear.bias[:hidden], CLOSED)
            for name, weight in linear.named_parameters():
                self.register_parameter(f"{name}_ih_{suffix}", weight)

    def forward(
        self, inputs: Tensor | PackedSequence, state: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """`inputs` [batch, time, inputs] or packed to outputs alike, and the last h [directions, batch, hidden]."""
        packed = inputs if isinstance(inputs, PackedSequence) else _packed(inputs)
        sizes: list[int] = packed.batch_sizes.tolist()
        if state is None:
            state = packed.data.new_zeros(len(self._suffixes()), sizes[0], self.hidden_size)
        elif packed.sorted_indices is not None:
            state = state[:, packed.sorted_indices]
        ways = [self._way(packed.data, first, sizes, number) for number, first in enumerate(state)]
        outputs, last = (torch.cat([way[0] for way in ways], dim=-1), torch.stack([way[1] for way in ways]))
        if packed.unsorted_indices is not None:
            last = last[:, packed.unsorted_indices]
        if isinstance(inputs, PackedSequence):
            return packed._replace(data=outputs), last
        return outputs.view(inputs.shape[1], inputs.shape[0], -1).transpose(0, 1), last

    def _way(self, x: Tensor, first: Tensor, sizes: list[int], number: int) -> tuple[Tensor, Tensor]:
        suffix = self._suffixes()[number]
        given = nn.functional.linear(
            x, getattr(self, f"weight_ih_{suffix}"), getattr(self, f"bias_ih_{suffix}")
        )
        update, new = given.float().chunk(2, dim=-1)
        update = torch.sigmoid(update)
        return linear_scan(1 - update, update * new, first, sizes, backward=number == 1)

    def _suffixes(self) -> list[str]:
        return ["l0", "l0_reverse"][: 1 + self.bidirectional]


def _packed(inputs: Tensor) -> PackedSequence:
    """Rows of one length, [batch, time, inputs], as they would be packed."""
    batch, time = inputs.shape[:2]
    return PackedSequence(inputs.transpose(0, 1).flatten(0, 1), torch.full((time,), batch))
