"""What the words of a text tell by themselves: naive Bayes (Wang and Manning 2012 §2.1), beside what a network says.

    told(label) = weight · Σ r(word, label) over the text        r = log p(word | label), less its mean over the labels
    p(word | label) = (n(word, label) + 1) / (length(label) + vocab)

n is how many training texts of this label have the word, length how long these texts are together. A training text
is left out of both when it is judged itself: they would tell it its own label.

r is a multiple of `STEP`, so that sums of it are exact in float32, in whatever order and in however many pieces.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from service.bundle.tokenizer import SPECIALS

STEP = 1 / 256
"""Sums of up to 2^24 steps are exact in float32."""
FIRST_WEIGHT = 0.5
"""Words do not stand independently of each other, so each tells less than it seems to."""


class WordCounts(nn.Module):
    """Weights: `weight`, a number; `seen` [vocab, labels] and `length` [labels], which are counted and not trained."""

    seen: Tensor
    length: Tensor

    def __init__(self, vocab_size: int, num_labels: int) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(vocab_size, num_labels))
        self.register_buffer("length", torch.zeros(num_labels))
        self.weight = nn.Parameter(torch.tensor(FIRST_WEIGHT))

    def count(self, texts: Iterable[tuple[Sequence[int], int]]) -> None:
        """Take in the training texts: ids, and the index of the label."""
        for ids, label in texts:
            self.seen[sorted(set(ids)), label] += 1
            self.length[label] += len(ids)

    def forward(self, source: Tensor, real: Tensor, left_out: Tensor | None = None) -> Tensor:
        """`source` and `real` (whether there is a word) [batch, time] to [batch, labels].

        `left_out` [batch]: these texts were counted with these labels, and each is to be judged by the others.
        """
        seen, length = self.seen[source], self.length.expand(len(source), -1)
        if left_out is not None:
            own = one_hot(left_out, len(self.length))
            seen = seen - own[:, None] * real[:, :, None]
            length = length - own * real.sum(1, keepdim=True)
        told = self._ratios(seen, length[:, None], source) * real[:, :, None]
        return self.weight * told.sum(1)

    def table(self) -> Tensor:
        """r of every word: [vocab, labels]."""
        return self._ratios(self.seen, self.length, torch.arange(len(self.seen)))

    def _ratios(self, seen: Tensor, length: Tensor, words: Tensor) -> Tensor:
        """r of `words` [...], of which `seen` [..., labels] texts with `length` [..., labels] words have each."""
        shares = torch.log(seen + 1) - torch.log(length + len(self.seen))
        ratios = shares - shares.mean(-1, keepdim=True)
        unknown = (words < len(SPECIALS))[..., None]
        return torch.round(ratios / STEP).masked_fill(unknown, 0) * STEP
