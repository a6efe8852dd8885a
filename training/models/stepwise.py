"""Something said at every step of a sequence of features: a label, a token or nothing, the reading that comes next."""

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from training.config import PredictionRecipe, StepwiseSection, TranscriptionRecipe
from training.data.vocabulary import Vocabulary
from training.modules.cells import build_stack, run_stack


class Stepwise(nn.Module):
    """Recurrence and a linear layer.

    Weights: `recurrence.*` as in `cells.build_stack`; `output.weight` [size, directions * hidden], `.bias` [size].
    A model that `changes` the reading says how much is added to it: the next reading is most often near.
    """

    def __init__(self, section: StepwiseSection, dim: int, size: int, *, changes: bool = False) -> None:
        super().__init__()
        self.changes = changes
        encoder = section.encoder
        self.recurrence = build_stack(
            encoder.cell,
            dim,
            encoder.hidden,
            encoder.layers,
            section.dropout,
            encoder.bidirectional,
            residual=encoder.residual,
            norm=encoder.norm,
            variational=encoder.variational,
            weight_dropout=encoder.weight_dropout,
        )
        self.dim = dim
        self.two_way = encoder.bidirectional
        self.noise = section.noise
        self.dropout = nn.Dropout(section.dropout)
        self.output = nn.Linear(encoder.hidden * (1 + self.two_way), size)

    @classmethod
    def hearing(cls, recipe: TranscriptionRecipe, vocabulary: Vocabulary) -> Self:
        """With fresh weights: logits of each token, of which the blank is one."""
        return cls(recipe.model, vocabulary.spec.dim, vocabulary.tokenizer.size)

    @classmethod
    def predicting(cls, recipe: PredictionRecipe, vocabulary: Vocabulary) -> Self:
        """With fresh weights: logits of each label; without labels, the next reading."""
        dim, labels = vocabulary.spec.dim, vocabulary.labels
        return cls(recipe.model, dim, len(labels) or dim, changes=not labels)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """`features` [batch, time, dim] to [batch, time, size]; past a row's length it means nothing."""
        outputs: Tensor = self.output(self.dropout(self._read(self._shaken(features), lengths)))
        return features + outputs if self.changes else outputs

    def _read(self, features: Tensor, lengths: Tensor) -> Tensor:
        """One way, what comes after a row's end bears on nothing before it, and packing would only cost."""
        if not self.two_way or int(lengths.min()) == features.shape[1]:
            outputs, _ = run_stack(self.recurrence, features)
            assert isinstance(outputs, Tensor)
            return outputs
        packed = pack_padded_sequence(features, lengths, batch_first=True, enforce_sorted=False)
        outputs, _ = run_stack(self.recurrence, packed)
        assert isinstance(outputs, PackedSequence)
        return pad_packed_sequence(outputs, batch_first=True, total_length=features.shape[1])[0]

    def _shaken(self, features: Tensor) -> Tensor:
        if not self.training or not self.noise:
            return features
        return features + self.noise * torch.randn_like(features)
