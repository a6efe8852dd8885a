"""A chain over labels: the labels of a text are right or wrong together (conditional random field)."""

import torch
from torch import Tensor, nn

from service.bundle.transitions import FARTHEST, Transitions

TINY = 1e-30


class Chain(nn.Module):
    """Scores of one label after another (Lample et al. 2016 §2.2).

    Weights: `first` and `last` [labels]; `between` [labels, labels], the label before first.
    """

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.zeros(num_labels))
        self.last = nn.Parameter(torch.zeros(num_labels))
        self.between = nn.Parameter(torch.empty(num_labels, num_labels).uniform_(-0.1, 0.1))

    def loss(self, scores: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        """-log p(labels | scores), summed over the texts; `scores` [batch, words, labels], `labels` [batch, words] and
        `lengths` [batch] in words, at least one each.
        """
        return (self._normaliser(scores, lengths) - self._score(scores, labels, lengths)).sum()

    def transitions(self) -> Transitions:
        """The same for serving, where there are no tensors."""
        weights = (self.first, self.between, self.last)
        first, between, last = (w.detach().clamp(-FARTHEST, FARTHEST).double().cpu().numpy() for w in weights)
        return Transitions(first, between, last)

    def _score(self, scores: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        """Of these labels: [batch]."""
        real = torch.arange(labels.shape[1], device=labels.device) < lengths[:, None]
        labels = labels.masked_fill(~real, 0)
        own = scores.gather(2, labels[:, :, None])[:, :, 0].masked_fill(~real, 0.0).sum(1)
        steps = self.between[labels[:, :-1], labels[:, 1:]].masked_fill(~real[:, 1:], 0.0).sum(1)
        at_end = labels.gather(1, lengths[:, None] - 1)[:, 0]
        return own + steps + self.first[labels[:, 0]] + self.last[at_end]

    def _normaliser(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """Logarithm of the sum over all labels that the words might have: [batch].

        Sums of products by a matrix product: `logsumexp` of [batch, labels, labels] takes several times as long.
        """
        ways = self.between.exp()
        found = self.first + scores[:, 0]
        for t in range(1, scores.shape[1]):
            highest = found.detach().amax(1, keepdim=True)
            sums = (found - highest).exp() @ ways
            after = sums.clamp_min(TINY).log() + highest + scores[:, t]
            found = torch.where((t < lengths)[:, None], after, found)
        return torch.logsumexp(found + self.last, 1)
