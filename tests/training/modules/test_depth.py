"""Depth: layers one by one are the stack that they make up; residual connections and norms stand where they should."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from training.modules.cells import CELLS, build_stack, run_stack
from training.modules.depth import DeepStack
from training.modules.dropout import PositionDropout


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_layers_one_by_one_are_the_stack_of_pytorch(cell: str, both_ways: bool) -> None:
    torch.manual_seed(0)
    whole = build_stack(cell, 6, 5, 3, bidirectional=both_ways)
    size = 5 * (1 + both_ways)
    single = [CELLS[cell](each, 5, batch_first=True, bidirectional=both_ways) for each in (6, size, size)]
    for number, layer in enumerate(single):
        for name, weight in layer.named_parameters():
            weight.data.copy_(whole.get_parameter(name.replace("_l0", f"_l{number}")))
    deep = DeepStack(single, 6, PositionDropout(0.0), residual=False, norm=False)
    x = pack_padded_sequence(
        torch.randn(3, 7, 6), torch.tensor([4, 7, 1]), batch_first=True, enforce_sorted=False
    )
    first = tuple(torch.randn(3 * (1 + both_ways), 3, 5) for _ in range(2 if cell == "lstm" else 1))
    (ours, our_state), (theirs, their_state) = run_stack(deep, x, first), run_stack(whole, x, first)
    torch.testing.assert_close(ours.data, theirs.data)
    torch.testing.assert_close(our_state, their_state)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_a_residual_layer_adds_what_it_was_given_where_sizes_allow(cell: str, norm: bool) -> None:
    torch.manual_seed(0)
    deep = build_stack(cell, 4, 5, 2, residual=True, norm=norm)
    assert isinstance(deep, DeepStack)
    norms = deep.norms or [nn.Identity(), nn.Identity()]
    for each in norms:
        for weight in each.parameters():
            weight.data.normal_()
    x = torch.randn(2, 3, 4)
    first, _ = deep.layers[0](norms[0](x))
    second, _ = deep.layers[1](norms[1](first))
    outputs, state = run_stack(deep, x)
    assert isinstance(outputs, torch.Tensor)
    torch.testing.assert_close(outputs, first + second)
    torch.testing.assert_close(state[0][1], second[:, -1], msg="the state holds the layer's own h")


def test_packed_rows_are_normalised_and_added_to_as_alone() -> None:
    torch.manual_seed(0)
    deep = build_stack("gru", 10, 5, 2, bidirectional=True, residual=True, norm=True)
    x, lengths = torch.randn(3, 7, 10), torch.tensor([4, 7, 1])
    packed, _ = run_stack(deep, pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
    assert isinstance(packed, PackedSequence)
    outputs, _ = pad_packed_sequence(packed, batch_first=True)
    for row, length in enumerate(lengths.tolist()):
        alone, _ = run_stack(deep, x[row : row + 1, :length])
        torch.testing.assert_close(outputs[row, :length], alone[0])


def test_dropout_is_between_the_layers_as_in_pytorchs_stacks() -> None:
    torch.manual_seed(0)
    deep, x = build_stack("mingru", 5, 5, 2, dropout=0.5), torch.randn(1, 1, 5)
    assert len({run_stack(deep, x)[1][0][0].sum().item() for _ in range(4)}) == 1, "not before the first"
    assert len({run_stack(deep, x)[1][0][1].sum().item() for _ in range(8)}) > 1, "but before the second"
    single = build_stack("mingru", 5, 5, 1, dropout=0.5)
    assert len({run_stack(single, x)[0].sum().item() for _ in range(4)}) == 1, "and not after the last"  # type: ignore[union-attr]
