"""The checks of `training.export.check` for models that label words."""

from collections.abc import Mapping

import numpy as np
import torch

from training.export.check import Arrays, Differences, Runner, Texts, random_texts, require_equal
from training.models.tagger import Tagger


class TaggerCheck:
    """Graph `tag` against its model."""

    def __init__(self, model: Tagger, runners: Mapping[str, Runner], tolerance: float | None) -> None:
        self._model = model.eval()
        self._tag = runners["tag"]
        self._streams = any(tensor.role == "state" for tensor in self._tag.spec.inputs)
        self._differences = Differences(tolerance)

    @torch.no_grad()
    def run(self) -> float:
        """All checks; returns the mean difference from PyTorch."""
        for texts in random_texts(self._model.encoder.embedding.num_embeddings):
            found = self._run(texts, {})
            self._agrees(texts, found)
            for number, length in enumerate(texts.lengths):
                alone = self._run(texts.row(number), {})
                row = {name: array[number : number + 1] for name, array in found.items()}
                row["log_probs"] = row["log_probs"][:, :length]
                require_equal("tag alone and in a batch", alone, row)
                if self._streams:
                    self._chunked(texts.row(number), alone)
        return self._differences.mean

    def _agrees(self, texts: Texts, found: Arrays) -> None:
        logits = self._model(*texts.tensors())
        expected = torch.log_softmax(logits.positions, -1)
        for number, length in enumerate(texts.lengths):
            ours, theirs = found["log_probs"][number, :length], expected[number, :length]
            self._differences.compare("tag", ours, theirs)
        if logits.texts is not None:
            self._differences.compare("tag", found["text_log_probs"], torch.log_softmax(logits.texts, -1))

    def _chunked(self, text: Texts, whole: Arrays) -> None:
        state: Arrays = {}
        found: Arrays = {}
        parts = []
        for piece in text.chunks((1, 2, 5)):
            found = self._run(piece, state)
            state = self._tag.states(found)
            parts.append(found["log_probs"])
        joined = {**found, "log_probs": np.concatenate(parts, axis=1)}
        require_equal("tag in chunks and whole", joined, whole)

    def _run(self, texts: Texts, state: Arrays) -> Arrays:
        return self._tag({"tokens": texts.tokens, "lengths": texts.lengths, **state})
