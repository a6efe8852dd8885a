"""The checks of `training.export.check` for models that say something at every step of features."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from training.export.check import (
    SHAPES,
    Array,
    Arrays,
    Differences,
    Runner,
    Texts,
    require_equal,
)
from training.models.stepwise import Stepwise


class StepwiseCheck:
    """The one graph against its model."""

    def __init__(self, model: Stepwise, runners: Mapping[str, Runner], tolerance: float | None) -> None:
        self._model = model.eval()
        ((self._name, self._graph),) = runners.items()
        self._streams = any(tensor.role == "state" for tensor in self._graph.spec.inputs)
        self._said = "forecast" if model.changes else "log_probs"
        self._differences = Differences(tolerance)

    @torch.no_grad()
    def run(self) -> float:
        """All checks; returns the mean difference from PyTorch."""
        for given in random_features(self._model.dim):
            found = self._run(given, {})
            expected = self._model(*given.tensors())
            if not self._model.changes:
                expected = torch.log_softmax(expected, -1)
            for number, length in enumerate(given.lengths):
                alone = self._run(given.row(number), {})
                ours = found[self._said][number, :length]
                self._differences.compare(self._name, ours, expected[number, :length])
                require_equal(f"{self._name} alone and in a batch", alone, _row(found, number, length))
                if self._streams:
                    self._chunked(given.row(number), alone)
        return self._differences.mean

    def _chunked(self, given: Texts, whole: Arrays) -> None:
        state: Arrays = {}
        said: list[Array] = []
        for piece in given.chunks((1, 2, 5)):
            found = self._run(piece, state)
            state = self._graph.states(found)
            said.append(found[self._said])
        joined = found | {self._said: np.concatenate(said, axis=1)}
        require_equal(f"{self._name} in chunks and whole", joined, whole)

    def _run(self, given: Texts, state: Arrays) -> Arrays:
        return self._graph({"features": given.tokens, "lengths": given.lengths, **state})


def random_features(dim: int, seed: int = 0) -> Iterator[Texts]:
    """One batch for each of `SHAPES`, features [batch, time, dim] in the place of tokens; some rows are far larger than
    the others, so that a scale which they shared would show.
    """
    rng = np.random.default_rng(seed)
    for batch, lengths in SHAPES:
        sizes = 10.0 ** rng.integers(-1, 2, (batch, 1, 1))
        features = (sizes * rng.normal(size=(batch, max(lengths), dim))).astype(np.float32)
        real = np.arange(max(lengths)) < np.array(lengths)[:, None]
        yield Texts(features * real[:, :, None].astype(np.float32), np.array(lengths))


def _row(arrays: Arrays, number: int, length: int) -> Arrays:
    rows = {name: array[number : number + 1] for name, array in arrays.items()}
    return {name: row[:, :length] if row.ndim == 3 else row for name, row in rows.items()}
