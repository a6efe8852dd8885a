"""The checks of `training.export.check` for classifiers."""

from collections.abc import Mapping

import torch

from training.export.check import Arrays, Differences, Runner, Texts, random_texts, require_equal
from training.models.classifier import Classifier


class ClassifierCheck:
    """Graph `classify` against its model."""

    def __init__(self, model: Classifier, runners: Mapping[str, Runner], tolerance: float | None) -> None:
        self._model = model.eval()
        self._classify = runners["classify"]
        self._streams = any(tensor.role == "state" for tensor in self._classify.spec.inputs)
        self._differences = Differences(tolerance)

    @torch.no_grad()
    def run(self) -> float:
        """All checks; returns the mean difference from PyTorch."""
        for texts in random_texts(self._model.encoder.embedding.num_embeddings):
            found = self._run(texts, {})
            expected = torch.log_softmax(self._model(*texts.tensors()), -1)
            self._differences.compare("classify", found["log_probs"], expected)
            for number in range(len(texts.lengths)):
                alone = self._run(texts.row(number), {})
                row = {name: array[number : number + 1] for name, array in found.items()}
                require_equal("classify alone and in a batch", alone, row)
                if self._streams:
                    self._chunked(texts.row(number), alone)
        return self._differences.mean

    def _chunked(self, text: Texts, whole: Arrays) -> None:
        state: Arrays = {}
        found: Arrays = {}
        for piece in text.chunks((1, 2, 5)):
            found = self._run(piece, state)
            state = self._classify.states(found)
        require_equal("classify in chunks and whole", found, whole)

    def _run(self, texts: Texts, state: Arrays) -> Arrays:
        return self._classify({"tokens": texts.tokens, "lengths": texts.lengths, **state})
