"""Two passes over the same examples are to agree, though each drops other units (R-Drop, Liang et al. 2021 §2.1)."""

import torch
from torch import Tensor

from training.data.batches import Batch


def doubled(batch: Batch) -> Batch:
    """Each example twice, the second ones behind all first ones: rows that one pass drops other units of."""
    return Batch(*(torch.cat([rows, rows]) for rows in batch))


def disagreement(log_probs: Tensor) -> Tensor:
    """½ (KL(p‖q) + KL(q‖p)) = ½ Σ (p - q)(log p - log q), p and q the two passes' distributions.

    `log_probs` [2 · batch, …, classes] of a doubled batch to [batch, …].
    """
    first, second = log_probs.chunk(2)
    return ((first.exp() - second.exp()) * (first - second)).sum(-1) / 2
