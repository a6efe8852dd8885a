import itertools
from typing import Literal

import pytest
import torch
from torch.nn.functional import cross_entropy

from training.config import Cell, ClassifierSection, EncoderSection
from training.data.batches import Batch
from training.fit.tasks.classify import ClassificationObjective
from training.models.classifier import Classifier

Pooling = Literal["last", "max", "last-max"]
KINDS = list(itertools.product(("rnn", "lstm", "gru", "mingru"), ("last", "max", "last-max"), (False, True)))


@pytest.mark.parametrize(("cell", "pooling", "both_ways"), KINDS)
def test_padding_changes_nothing(cell: Cell, pooling: Pooling, both_ways: bool) -> None:
    encoder = EncoderSection(cell=cell, layers=2, hidden=8, bidirectional=both_ways)
    model = Classifier(ClassifierSection(embedding=8, pooling=pooling, encoder=encoder), 20, 3).eval()
    source, lengths = torch.randint(4, 20, (3, 6)), torch.tensor([6, 1, 3])
    together = model(source.masked_fill(torch.arange(6) >= lengths[:, None], 0), lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = model(source[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-5)


def test_a_text_in_training_does_not_tell_itself_its_label() -> None:
    encoder = EncoderSection(hidden=8)
    model = Classifier(ClassifierSection(embedding=8, word_counts=True, encoder=encoder), 20, 3).eval()
    assert model.counts is not None
    ids, others = [4, 5, 6], [([4, 7], 1), ([5, 8], 2)]
    model.counts.count(others)
    source, lengths = torch.tensor([ids]), torch.tensor([len(ids)])
    before = model(source, lengths)
    model.counts.count([(ids, 0)])
    assert torch.equal(model.every(source, lengths, left_out=torch.tensor([0]))[0], before)
    assert not torch.equal(model(source, lengths), before)


def test_an_answer_is_the_mean_of_all_members_and_each_has_its_own_loss() -> None:
    section = ClassifierSection(embedding=8, members=3, dropout=0.0, encoder=EncoderSection(hidden=8))
    model = Classifier(section, 20, 3)
    source, lengths, labels = (
        torch.tensor([[4, 5, 6], [7, 8, 9]]),
        torch.tensor([3, 3]),
        torch.tensor([[0], [2]]),
    )
    alone = torch.stack([member.scores(source, lengths) for member in model.members])
    torch.testing.assert_close(model(source, lengths), alone.mean(0))
    assert not torch.allclose(alone[0], alone[1])
    objective = ClassificationObjective(model, smoothing=0.1)
    losses = [cross_entropy(logits, labels[:, 0], label_smoothing=0.1, reduction="sum") for logits in alone]
    torch.testing.assert_close(objective(Batch(source, lengths, labels)), torch.stack(losses).mean())


def test_last_and_largest_stand_side_by_side() -> None:
    """Each half is what the same encoder gives with that pooling alone."""
    section = ClassifierSection(embedding=8, pooling="last-max", encoder=EncoderSection(hidden=8))
    model = Classifier(section, 20, 3).eval()
    source, lengths = torch.randint(4, 20, (3, 6)), torch.tensor([6, 1, 3])
    both = model.pool(source, lengths)
    halves: tuple[Pooling, Pooling] = ("last", "max")
    for half, pooling in zip(both.chunk(2, dim=-1), halves, strict=True):
        model.pooling = pooling
        assert torch.equal(half, model.pool(source, lengths))
