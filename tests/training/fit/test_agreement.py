"""R-Drop: what two passes say of the same example is compared, and each of them is learned from."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence
from torch.nn.functional import cross_entropy

from service.bundle.tokenizer import BOS, EOS, PAD
from training.config import ClassifierSection, EncoderSection, Seq2SeqSection
from training.data.batches import Batch
from training.fit.agreement import disagreement, doubled
from training.fit.tasks.classify import ClassificationObjective
from training.fit.tasks.summarize import SummaryObjective
from training.models.classifier import Classifier
from training.models.copying import CopyingSeq2Seq

LABELLED = Batch(torch.tensor([[4, 5, 6], [7, 8, 9]]), torch.tensor([3, 3]), torch.tensor([[0], [2]]))
SUMMARIZED = Batch(
    torch.tensor([[5, 6, 7, EOS], [8, 9, EOS, PAD]]),
    torch.tensor([4, 3]),
    torch.tensor([[BOS, 5, 7, EOS], [BOS, 9, EOS, PAD]]),
)


def classifier(dropout: float, r_drop: float, members: int = 2) -> ClassificationObjective:
    torch.manual_seed(0)
    encoder = EncoderSection(hidden=8)
    section = ClassifierSection(embedding=8, dropout=dropout, members=members, encoder=encoder)
    return ClassificationObjective(Classifier(section, 20, 3), smoothing=0.1, r_drop=r_drop)


def summarizer(dropout: float, r_drop: float) -> SummaryObjective:
    torch.manual_seed(0)
    shape = {"encoder": {"hidden": 8}, "decoder": {"hidden": 8}, "embedding": 8, "dropout": dropout}
    return SummaryObjective(CopyingSeq2Seq(Seq2SeqSection.model_validate(shape), 20), r_drop)


def test_disagreement_is_the_mean_of_both_divergences() -> None:
    logits = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(1))
    first, second = (Categorical(logits=half) for half in logits.chunk(2))
    both = (kl_divergence(first, second) + kl_divergence(second, first)) / 2
    torch.testing.assert_close(disagreement(logits.log_softmax(-1)), both)


def test_a_doubled_batch_pairs_each_example_with_itself() -> None:
    twice = doubled(SUMMARIZED)
    for rows, before in zip(twice, SUMMARIZED, strict=True):
        for half in rows.chunk(2):
            assert torch.equal(half, before)


@pytest.mark.parametrize("task", ["classify", "summarize"])
def test_passes_that_drop_nothing_agree(task: str) -> None:
    """Then the loss is what it is with one pass, whatever their disagreement would weigh."""
    objectives = [_objective(task, 0.0, r_drop) for r_drop in (0.0, 5.0)]
    batch = LABELLED if task == "classify" else SUMMARIZED
    plain, agreeing = (objective(batch) for objective in objectives)
    torch.testing.assert_close(agreeing, plain)


@pytest.mark.parametrize("task", ["classify", "summarize"])
def test_passes_that_drop_other_units_are_drawn_together_while_training(task: str) -> None:
    batch = LABELLED if task == "classify" else SUMMARIZED
    losses = []
    for r_drop in (1e-9, 1.0, 2.0):
        objective = _objective(task, 0.5, r_drop)
        torch.manual_seed(3)
        losses.append(objective(batch))
    assert losses[1] > losses[0] + 1e-4
    torch.testing.assert_close(losses[2] - losses[1], losses[1] - losses[0])
    objective = _objective(task, 0.5, 5.0).eval()
    torch.testing.assert_close(objective(batch), _objective(task, 0.5, 0.0).eval()(batch))


def test_each_member_of_a_classifier_agrees_with_itself_alone() -> None:
    """Members say different things, and may: without dropout nothing but their own losses is left."""
    objective = classifier(0.0, 5.0, members=3)
    logits: Tensor = objective.model.every(LABELLED.source, LABELLED.lengths)
    assert not torch.allclose(logits[0], logits[1])
    labels = LABELLED.target[:, 0]
    losses = [cross_entropy(each, labels, label_smoothing=0.1, reduction="sum") for each in logits]
    torch.testing.assert_close(objective(LABELLED), torch.stack(losses).mean())


def test_padding_costs_nothing_however_the_passes_differ_there() -> None:
    nothing = SUMMARIZED._replace(target=torch.tensor([[BOS, PAD, PAD], [BOS, PAD, PAD]]))
    assert summarizer(0.5, 5.0)(nothing) == 0


def _objective(task: str, dropout: float, r_drop: float) -> ClassificationObjective | SummaryObjective:
    return classifier(dropout, r_drop) if task == "classify" else summarizer(dropout, r_drop)
