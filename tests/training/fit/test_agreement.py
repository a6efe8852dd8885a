"""R-Drop: what two passes say of the same example is compared, and each of them is learned from."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence
from torch.nn.functional import cross_entropy

from service.bundle.tokenizer import BOS, EOS, PAD
from training.config import ClassifierSection, EncoderSection, Seq2SeqSection, TaggerSection
from training.data.batches import Batch
from training.fit.agreement import disagreement, doubled
from training.fit.tasks.base import Objective
from training.fit.tasks.classify import ClassificationObjective
from training.fit.tasks.summarize import SummaryObjective
from training.fit.tasks.tag import NONE, TagObjective
from training.fit.tasks.translate import TranslationObjective
from training.models.classifier import Classifier
from training.models.copying import CopyingSeq2Seq
from training.models.seq2seq import Seq2Seq
from training.models.tagger import Tagger

Built = Callable[[float, float], Objective[Any]]
"""An objective with this much dropout and R-Drop."""

LABELLED = Batch(torch.tensor([[4, 5, 6], [7, 8, 9]]), torch.tensor([3, 3]), torch.tensor([[0], [2]]))
WRITTEN = Batch(
    torch.tensor([[5, 6, 7, EOS], [8, 9, EOS, PAD]]),
    torch.tensor([4, 3]),
    torch.tensor([[BOS, 5, 7, EOS], [BOS, 9, EOS, PAD]]),
)


TAGGED = Batch(
    torch.tensor([[5, 6, 7, 8], [8, 9, 4, PAD]]),
    torch.tensor([4, 3]),
    torch.tensor([[1, 2, NONE, 0, 1], [0, NONE, 2, 1, NONE]]),
)
"""Of each text its label, then one of each subword that ends a word."""


def classifier(dropout: float, r_drop: float, members: int = 2) -> ClassificationObjective:
    torch.manual_seed(0)
    encoder = EncoderSection(hidden=8)
    section = ClassifierSection(embedding=8, dropout=dropout, members=members, encoder=encoder)
    return ClassificationObjective(Classifier(section, 20, 3), smoothing=0.1, r_drop=r_drop)


def summarizer(dropout: float, r_drop: float) -> SummaryObjective:
    torch.manual_seed(0)
    return SummaryObjective(CopyingSeq2Seq(_section(dropout), 20), r_drop)


def translator(dropout: float, r_drop: float) -> TranslationObjective:
    torch.manual_seed(0)
    return TranslationObjective(Seq2Seq(_section(dropout), 20), smoothing=0.1, r_drop=r_drop)


def tagger(dropout: float, r_drop: float, chain: bool = False) -> TagObjective:
    torch.manual_seed(0)
    encoder = EncoderSection(hidden=8, bidirectional=True)
    section = TaggerSection(embedding=8, dropout=dropout, chain=chain, encoder=encoder)
    return TagObjective(Tagger(section, 20, 3, num_text_labels=2), smoothing=0.1, r_drop=r_drop)


def chained(dropout: float, r_drop: float) -> TagObjective:
    return tagger(dropout, r_drop, chain=True)


OBJECTIVES = [
    (classifier, LABELLED),
    (summarizer, WRITTEN),
    (translator, WRITTEN),
    (tagger, TAGGED),
    (chained, TAGGED),
]
every_objective = pytest.mark.parametrize(
    ("objective", "batch"), OBJECTIVES, ids=[objective.__name__ for objective, _ in OBJECTIVES]
)


def test_disagreement_is_the_mean_of_both_divergences() -> None:
    logits = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(1))
    first, second = (Categorical(logits=half) for half in logits.chunk(2))
    both = (kl_divergence(first, second) + kl_divergence(second, first)) / 2
    torch.testing.assert_close(disagreement(logits.log_softmax(-1)), both)


def test_a_doubled_batch_pairs_each_example_with_itself() -> None:
    twice = doubled(WRITTEN)
    for rows, before in zip(twice, WRITTEN, strict=True):
        for half in rows.chunk(2):
            assert torch.equal(half, before)


@every_objective
def test_passes_that_drop_nothing_agree(objective: Built, batch: Batch) -> None:
    """Then the loss is what it is with one pass, whatever their disagreement would weigh."""
    torch.testing.assert_close(objective(0.0, 5.0)(batch), objective(0.0, 0.0)(batch))


@every_objective
def test_passes_that_drop_other_units_are_drawn_together_while_training(
    objective: Built, batch: Batch
) -> None:
    losses = []
    for r_drop in (1e-9, 1.0, 2.0):
        agreeing = objective(0.5, r_drop)
        torch.manual_seed(3)
        losses.append(agreeing(batch))
    assert losses[1] > losses[0] + 1e-4
    torch.testing.assert_close(losses[2] - losses[1], losses[1] - losses[0])
    torch.testing.assert_close(objective(0.5, 5.0).eval()(batch), objective(0.5, 0.0).eval()(batch))


def test_each_member_of_a_classifier_agrees_with_itself_alone() -> None:
    """Members say different things, and may: without dropout nothing but their own losses is left."""
    objective = classifier(0.0, 5.0, members=3)
    logits: Tensor = objective.model.every(LABELLED.source, LABELLED.lengths)
    assert not torch.allclose(logits[0], logits[1])
    labels = LABELLED.target[:, 0]
    losses = [cross_entropy(each, labels, label_smoothing=0.1, reduction="sum") for each in logits]
    torch.testing.assert_close(objective(LABELLED), torch.stack(losses).mean())


@pytest.mark.parametrize("objective", [summarizer, translator])
def test_padding_costs_nothing_however_the_passes_differ_there(objective: Built) -> None:
    nothing = WRITTEN._replace(target=torch.tensor([[BOS, PAD, PAD], [BOS, PAD, PAD]]))
    assert objective(0.5, 5.0)(nothing) == 0


def test_what_has_no_label_costs_nothing_however_the_passes_differ_there() -> None:
    target = torch.full_like(TAGGED.target, NONE)
    assert tagger(0.5, 5.0)(TAGGED._replace(target=target)) == 0


@pytest.mark.parametrize("place", ["a text's label", "a word's label"])
def test_words_and_whole_texts_are_both_to_agree(place: str) -> None:
    target = torch.full_like(TAGGED.target, NONE)
    column = 0 if place == "a text's label" else 1
    target[0, column] = TAGGED.target[0, column]
    losses = []
    for r_drop in (1e-9, 1.0):
        agreeing = tagger(0.5, r_drop)
        torch.manual_seed(3)
        losses.append(agreeing(TAGGED._replace(target=target)))
    assert losses[1] > losses[0] + 1e-4


def _section(dropout: float) -> Seq2SeqSection:
    shape = {"encoder": {"hidden": 8}, "decoder": {"hidden": 8}, "embedding": 8, "dropout": dropout}
    return Seq2SeqSection.model_validate(shape)
