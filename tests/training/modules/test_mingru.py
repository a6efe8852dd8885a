"""A recurrence without matrices: its loop, its gradient, and rows of uneven length."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from training.modules.linear_scan import linear_scan
from training.modules.mingru import MinGru

SIZES = [3, 3, 2, 1, 1]
"""Rows of length 5, 3 and 2."""


def written_out(
    keep: Tensor, add: Tensor, first: Tensor, sizes: Sequence[int], backward: bool
) -> tuple[Tensor, Tensor]:
    """The formula, left to autograd."""
    last, after = list(first), list(add)
    starts = [sum(sizes[:time]) for time in range(len(sizes))]
    for start, size in list(zip(starts, sizes, strict=True))[:: -1 if backward else 1]:
        for row in range(size):
            last[row] = after[start + row] = keep[start + row] * last[row] + add[start + row]
    return torch.stack(after), torch.stack(last)


@pytest.mark.parametrize("backward", [False, True])
def test_the_scan_and_its_gradient_are_those_of_the_formula(backward: bool) -> None:
    torch.manual_seed(0)
    shapes = (sum(SIZES), 4), (sum(SIZES), 4), (SIZES[0], 4)
    keep, add, first = (torch.rand(shape, requires_grad=True) for shape in shapes)
    weights = [torch.randn(sum(SIZES), 4), torch.randn(SIZES[0], 4)]
    found = linear_scan(keep, add, first, SIZES, backward=backward)
    expected = written_out(keep, add, first, SIZES, backward)
    torch.testing.assert_close(found, expected)
    ours, theirs = (
        torch.autograd.grad((both[0] * weights[0]).sum() + (both[1] * weights[1]).sum(), (keep, add, first))
        for both in (found, expected)
    )
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("both_ways", [False, True])
def test_rows_in_a_packed_batch_are_as_alone(both_ways: bool) -> None:
    torch.manual_seed(0)
    layer = MinGru(6, 5, both_ways)
    x, lengths, first = torch.randn(3, 7, 6), torch.tensor([4, 7, 1]), torch.randn(1 + both_ways, 3, 5)
    packed, final = layer(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False), first)
    assert isinstance(packed, PackedSequence)
    outputs, _ = pad_packed_sequence(packed, batch_first=True)
    for row, length in enumerate(lengths.tolist()):
        alone, last = layer(x[row : row + 1, :length], first[:, row : row + 1])
        torch.testing.assert_close(outputs[row, :length], alone[0])
        torch.testing.assert_close(final[:, row], last[:, 0])


def test_the_way_back_is_the_way_there_of_the_text_turned_round() -> None:
    torch.manual_seed(0)
    layer, x = MinGru(6, 5, bidirectional=True), torch.randn(2, 4, 6)
    for end in ("weight_ih_l0", "bias_ih_l0"):
        getattr(layer, f"{end}_reverse").data.copy_(getattr(layer, end))
    there, turned = layer(x)[0], layer(x.flip(1))[0].flip(1)
    torch.testing.assert_close(there[..., :5], turned[..., 5:])
    torch.testing.assert_close(there[..., 5:], turned[..., :5])


def test_a_step_is_the_papers() -> None:
    torch.manual_seed(0)
    layer, x, h = MinGru(6, 5), torch.randn(2, 1, 6), torch.randn(1, 2, 5)
    z, n = (x[:, 0] @ layer.weight_ih_l0.T + layer.bias_ih_l0).chunk(2, dim=-1)  # type: ignore[operator]
    expected = (1 - torch.sigmoid(z)) * h[0] + torch.sigmoid(z) * n
    torch.testing.assert_close(layer(x, h)[0][:, 0], expected)


def test_h_is_kept_longer_than_it_is_replaced_before_training() -> None:
    torch.manual_seed(0)
    bias = MinGru(6, 5).bias_ih_l0
    assert isinstance(bias, Tensor)
    assert (torch.sigmoid(bias[:5]) < 0.3).all()
