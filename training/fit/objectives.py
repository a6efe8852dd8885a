"""What is minimised: a model and its loss as one module, so that DistributedDataParallel sees one forward pass."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from service.bundle.tokenizer import PAD
from training.data.batches import Batch
from training.fit.losses import smoothed_cross_entropy
from training.models.classifier import Classifier
from training.models.seq2seq import Seq2Seq


class TranslationObjective(nn.Module):
    """Summed loss of the target subwords; smoothed while training only."""

    def __init__(self, model: Seq2Seq, smoothing: float) -> None:
        super().__init__()
        self.model = model
        self.smoothing = smoothing

    def forward(self, batch: Batch) -> Tensor:
        """Summed over the batch; `count` says over how many."""
        given, wanted = batch.target[:, :-1], batch.target[:, 1:]
        readouts = self.model.readouts(batch.source, batch.lengths, given)
        output = self.model.output
        smoothing = self.smoothing if self.training else 0.0
        return smoothed_cross_entropy(
            readouts.flatten(0, 1), output.weight, output.bias, wanted.flatten(), smoothing
        )

    def count(self, batch: Batch) -> int:
        """Target subwords, EOS included."""
        return int((batch.target[:, 1:] != PAD).sum())


class ClassificationObjective(nn.Module):
    """Summed loss of the labels; smoothed while training only."""

    def __init__(self, model: Classifier, smoothing: float) -> None:
        super().__init__()
        self.model = model
        self.smoothing = smoothing

    def forward(self, batch: Batch) -> Tensor:
        """Summed over the batch; `count` says over how many."""
        logits = self.model(batch.source, batch.lengths).float()
        smoothing = self.smoothing if self.training else 0.0
        return cross_entropy(logits, batch.target[:, 0], label_smoothing=smoothing, reduction="sum")

    def count(self, batch: Batch) -> int:
        """Texts."""
        return len(batch.target)


Objective = TranslationObjective | ClassificationObjective


@torch.no_grad()
def mean_loss(objective: Objective, batches: list[Batch]) -> float:
    """Loss per target over whole batches, in evaluation mode."""
    objective.eval()
    total = sum(float(objective(batch)) for batch in batches)
    objective.train()
    return total / sum(map(objective.count, batches))
