import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from training.config import EncoderSection
from training.modules.cells import build_stack, run_stack
from training.modules.dropout import PositionDropout, SequenceDropout, drop_recurrent_weights

LENGTHS = torch.tensor([4, 7, 1])


def packed(x: Tensor) -> PackedSequence:
    return pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)


def padded(x: Tensor | PackedSequence) -> Tensor:
    assert isinstance(x, PackedSequence)
    return pad_packed_sequence(x, batch_first=True)[0]


def test_a_sequence_loses_the_same_units_at_all_its_positions_packed_or_not() -> None:
    torch.manual_seed(0)
    drop = SequenceDropout(0.5)
    for outputs in (drop(torch.ones(3, 7, 40)), padded(drop(packed(torch.ones(3, 7, 40))))):
        assert isinstance(outputs, Tensor)
        masks = []
        for row, length in zip(outputs, LENGTHS, strict=True):
            assert all(torch.equal(position, row[0]) for position in row[:length])
            assert set(row[0].tolist()) == {0.0, 2.0}
            masks.append(tuple(row[0].tolist()))
        assert len(set(masks)) == 3


def test_positions_lose_units_of_their_own() -> None:
    torch.manual_seed(0)
    outputs = padded(PositionDropout(0.5)(packed(torch.ones(3, 7, 40))))
    assert not torch.equal(outputs[1, 0], outputs[1, 1])


@pytest.mark.parametrize("kind", [SequenceDropout, PositionDropout])
def test_nothing_is_dropped_in_evaluation(kind: type[nn.Module]) -> None:
    x = torch.randn(2, 3, 4)
    assert torch.equal(kind(0.5).eval()(x), x)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_recurrent_weights_are_dropped_while_training_and_stay_what_they_were(cell: str) -> None:
    torch.manual_seed(0)
    stack = build_stack(cell, 5, 6, 2)
    assert isinstance(stack, nn.RNNBase)
    drop_recurrent_weights(stack, 0.5)
    before = {name: weight.clone() for name, weight in stack.state_dict().items()}
    x = torch.randn(2, 4, 5)
    first, second = (run_stack(stack, x)[0] for _ in range(2))
    assert isinstance(first, Tensor)
    assert isinstance(second, Tensor)
    assert not torch.allclose(first[:, 1:], second[:, 1:])
    first.sum().backward()  # type: ignore[no-untyped-call]
    assert all(weight.grad is not None for weight in stack.parameters())
    assert all(torch.equal(before[name], weight) for name, weight in stack.state_dict().items())
    stack.eval()
    outputs = [run_stack(stack, x)[0] for _ in range(2)]
    plain = build_stack(cell, 5, 6, 2)
    plain.load_state_dict(before)
    assert torch.equal(outputs[0], outputs[1])  # type: ignore[arg-type]
    assert torch.equal(outputs[0], run_stack(plain.eval(), x)[0])  # type: ignore[arg-type]


def test_a_failed_pass_leaves_the_weights_as_they_were() -> None:
    stack = nn.LSTM(5, 6)
    drop_recurrent_weights(stack, 0.5)
    before = list(stack._flat_weights)
    with pytest.raises(RuntimeError):
        stack(torch.randn(4, 2, 3))
    assert all(now is then for now, then in zip(stack._flat_weights, before, strict=True))


def test_light_cells_have_no_weights_to_drop() -> None:
    with pytest.raises(ValueError, match="mingru has no recurrent weights"):
        EncoderSection(cell="mingru", weight_dropout=0.5)
