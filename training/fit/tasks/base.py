"""What every task brings to the loop."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from training.config import Recipe
from training.data.batches import Batch, Example, Plan, collate, plan_batches, plan_epoch, share
from training.data.vocabulary import Vocabulary

R = TypeVar("R", bound=Recipe)
M = TypeVar("M", bound=nn.Module)

DEV_TOKENS = 4000
"""Positions in a batch of dev."""


class Objective(nn.Module, Generic[M]):
    """What is minimised: a model and its loss as one module, so that DistributedDataParallel sees one forward pass.

    Only the weights of `model` are kept, and what is `carried`.
    """

    def __init__(self, model: M) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        """Loss summed over the batch; `count` says over how many."""
        raise NotImplementedError

    def count(self, batch: Batch) -> int:
        """Targets of the batch: what the loss is a sum over."""
        raise NotImplementedError

    def carried(self) -> list[Tensor] | None:
        """What goes from one training batch to the next beside the weights: a state, for one that has any."""
        return None

    def carry(self, state: list[Tensor] | None) -> None:
        """Go on from what was `carried`."""


class Task(ABC, Generic[R, M]):
    """A recipe's examples and model. How they are batched may be overridden; ids of equal length is the default."""

    vocabulary: Vocabulary
    train: Sequence[Example]
    dev: Sequence[Example]

    @abstractmethod
    def __init__(self, recipe: R, root: Path, given: Vocabulary) -> None:
        """Reads the data below `root`, and learns from them what of the vocabulary is not `given`."""
        self._recipe = recipe

    @abstractmethod
    def objective(self) -> Objective[M]:
        """A model with fresh weights, and its loss."""

    @abstractmethod
    def scores(self, model: M, device: torch.device) -> dict[str, float]:
        """Scores on dev by name, higher is better; runs within `evaluating`."""

    def completed(self, model: M, device: torch.device) -> Vocabulary:
        """The vocabulary with what only the finished model can tell; runs within `evaluating`."""
        return self.vocabulary

    def plan(self, epoch: int) -> Plan:
        """Indexes of the training examples in each batch of an epoch, by the seed and the epoch alone."""
        return plan_epoch(self.train, self._recipe.training.batch_tokens, self._recipe.seed, epoch)

    def share(self, plan: Plan, rank: int, world: int) -> Plan:
        """One process's part of a plan; all parts have as many batches."""
        return share(plan, rank, world)

    def batch(self, rows: list[int]) -> Batch:
        """The training examples with these indexes."""
        return self.collate([self.example(index) for index in rows])

    def example(self, index: int) -> Example:
        """One training example, as it is in the epoch that was planned last."""
        return self.train[index]

    def dev_batches(self) -> list[Batch]:
        """All of dev once, in order of length."""
        plan = plan_batches(self.dev, DEV_TOKENS)
        return [self.collate([self.dev[index] for index in rows]) for rows in plan]

    def collate(self, examples: Sequence[Example]) -> Batch:
        """The tensors of these examples."""
        return collate(examples)


def within(examples: list[Example], max_length: int) -> list[Example]:
    """Examples of at most `max_length` positions on either side."""
    return [example for example in examples if max(map(len, example)) <= max_length]


def evenly(number: int, limit: int) -> list[int]:
    """About `limit` of `number` indexes (never fewer), evenly spaced; none for a limit of zero."""
    return list(range(0, number, max(1, number // limit))) if limit else []


@contextmanager
def evaluating(objective: Objective[M]) -> Iterator[None]:
    """Evaluation mode without gradients, then training mode again."""
    objective.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        objective.train()


def mean_loss(objective: Objective[M], batches: list[Batch]) -> float:
    """Loss per target over whole batches; runs within `evaluating`."""
    total = sum(float(objective(batch)) for batch in batches)
    return total / sum(map(objective.count, batches))
