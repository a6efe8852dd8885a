import itertools
from typing import Literal

import pytest
import torch

from training.config import Cell, ClassifierSection, EncoderSection
from training.models.classifier import Classifier

KINDS = list(itertools.product(("rnn", "lstm", "gru", "mingru"), ("last", "max"), (False, True)))


@pytest.mark.parametrize(("cell", "pooling", "both_ways"), KINDS)
def test_padding_changes_nothing(cell: Cell, pooling: Literal["last", "max"], both_ways: bool) -> None:
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
    assert torch.equal(model(source, lengths, torch.tensor([0])), before)
    assert not torch.equal(model(source, lengths), before)
