import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from service.bundle.tokenizer import BOS, EOS
from training.config import Attention, Cell, DecoderSection, EncoderSection, Seq2SeqSection
from training.fit.losses import smoothed_cross_entropy
from training.models.greedy import translate
from training.models.seq2seq import Seq2Seq

VOCAB = 12
KINDS = [
    *itertools.product(("rnn", "lstm", "gru", "mingru"), ("none", "luong", "bahdanau"), (False, True)),
    *itertools.product(("lstm", "mingru"), ("luong-dot", "luong-concat"), (False, True)),
]


def model(cell: Cell, attention: Attention, both_ways: bool, layers: int = 1, tied: str = "all") -> Seq2Seq:
    torch.manual_seed(3)
    encoder = EncoderSection(cell=cell, layers=layers, hidden=24 // (1 + both_ways), bidirectional=both_ways)
    decoder = DecoderSection(cell=cell, layers=layers, hidden=24, attention=attention)
    section = {"embedding": 16, "dropout": 0.0, "encoder": encoder, "decoder": decoder, "tied": tied}
    return Seq2Seq(Seq2SeqSection.model_validate(section), VOCAB)


def uneven() -> tuple[Tensor, Tensor, Tensor]:
    """Sources of length 5, 2 and 3 in one batch, and targets."""
    torch.manual_seed(4)
    source, lengths = torch.randint(4, VOCAB, (3, 5)), torch.tensor([5, 2, 3])
    return (
        source.masked_fill(torch.arange(5) >= lengths[:, None], 0),
        lengths,
        torch.randint(4, VOCAB, (3, 6)),
    )


@pytest.mark.parametrize(("cell", "attention", "both_ways"), KINDS)
def test_every_kind_learns_to_turn_a_sequence_round(
    cell: Cell, attention: Attention, both_ways: bool
) -> None:
    learner = model(cell, attention, both_ways)
    texts = torch.tensor(list(itertools.product(range(4, 8), repeat=2)))
    lengths = torch.full((len(texts),), 2)
    target = functional.pad(texts.flip(1), (0, 1), value=EOS)
    assert learn(learner, texts, lengths, target) < 0.05
    assert translate(learner, texts, lengths) == target[:, :-1].tolist()


def learn(learner: Seq2Seq, texts: Tensor, lengths: Tensor, target: Tensor) -> float:
    """The loss after as many updates as it takes, and at most 200."""
    optimizer = torch.optim.Adam(learner.parameters(), 0.02)
    given = functional.pad(target[:, :-1], (1, 0), value=BOS)
    loss = torch.tensor(0.0)
    for _ in range(200):
        loss = functional.cross_entropy(learner(texts, lengths, given).flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        if loss < 0.02:
            break
    return float(loss.detach())


@pytest.mark.parametrize(("cell", "attention", "both_ways"), KINDS)
def test_step_by_step_equals_at_once(cell: Cell, attention: Attention, both_ways: bool) -> None:
    learner = model(cell, attention, both_ways, layers=2).eval()
    source, lengths, target = uneven()
    whole = learner(source, lengths, target)
    memory, state = learner.encode(source, lengths)
    for time in range(target.shape[1]):
        logits, state, _ = learner.step(target[:, time], state, memory)
        torch.testing.assert_close(logits, whole[:, time], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("cell", "attention", "both_ways"), KINDS)
def test_padding_changes_nothing(cell: Cell, attention: Attention, both_ways: bool) -> None:
    learner = model(cell, attention, both_ways, layers=2).eval()
    source, lengths, target = uneven()
    together = learner(source, lengths, target)
    for row, length in enumerate(lengths.tolist()):
        alone = learner(source[row : row + 1, :length], lengths[row : row + 1], target[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-5)


def test_attention_looks_at_real_positions_only() -> None:
    learner = model("gru", "luong", True).eval()
    source, lengths, target = uneven()
    memory, state = learner.encode(source, lengths)
    _, _, weights = learner.step(target[:, 0], state, memory)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3))
    assert not weights[~memory.mask].any()


@pytest.mark.parametrize(("tied", "matrices"), [("all", 1), ("output", 2), ("none", 3)])
def test_tied_matrices_are_one(tied: str, matrices: int) -> None:
    learner = model("lstm", "luong", True, tied=tied)
    found = [learner.encoder.embedding.weight, learner.decoder.embedding.weight, learner.output.weight]
    assert len({weight.data_ptr() for weight in found}) == matrices


def test_unknown_subwords_are_mixed_in_while_training_only() -> None:
    learner = model("gru", "luong", False)
    learner.encoder.token_dropout = 0.5
    source, lengths, target = uneven()
    assert not torch.equal(learner(source, lengths, target), learner(source, lengths, target))
    learner.eval()
    assert torch.equal(learner(source, lengths, target), learner(source, lengths, target))


def test_the_loss_and_its_gradient_are_those_of_pytorch() -> None:
    torch.manual_seed(5)
    inputs = [torch.randn(size, requires_grad=True) for size in ((9, 5), (VOCAB, 5), (VOCAB,))]
    targets = torch.randint(1, VOCAB, (9,)).index_fill(0, torch.tensor([3]), 0)
    readouts, weight, bias = inputs
    ours = smoothed_cross_entropy(readouts, weight, bias, targets, 0.1)
    logits = readouts @ weight.t() + bias
    theirs = functional.cross_entropy(logits, targets, label_smoothing=0.1, ignore_index=0, reduction="sum")
    torch.testing.assert_close(ours, theirs)
    for mine, other in zip(
        torch.autograd.grad(3 * ours, inputs), torch.autograd.grad(3 * theirs, inputs), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)
