"""Before a bundle is written its graphs must equal PyTorch, and each row of a batch must equal itself alone.

Three questions, asked with random inputs at several batch sizes, with uneven lengths in a batch:

    agrees      do the graphs give what the model gives? (fp32: within `TOLERANCE`; int8: the difference is told)
    alone       does a row give the same bits alone as in a batch?
    chunked     one way only: does a text in chunks give the same bits as whole?
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
import torch

from service.bundle.manifest import UNITS, GraphSpec
from service.engine.products import make_exact
from service.errors import SeqserveError
from training.export.graph import Graph

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = dict[str, Array]

TOLERANCE = 2e-4
"""Largest difference of a float32 graph from PyTorch, in log-probabilities and states."""
SHAPES = ((1, (1,)), (2, (5, 5)), (6, (1, 9, 4, 17, 33, 2)), (3, (70, 11, 130)))
"""Batch sizes and the lengths in them."""


class ExportRefused(SeqserveError):
    """The graphs do not do what the model does; nothing was written."""


class Runner:
    """One graph in ONNX Runtime, called by the names of the manifest."""

    def __init__(self, graph: Graph, spec: GraphSpec) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        make_exact(options)
        self.spec = spec
        self._session = ort.InferenceSession(graph.model().SerializeToString(), options)

    def __call__(self, given: Mapping[str, Array]) -> Arrays:
        """Outputs by name, traces only where units are asked for.

        A state that is not given starts at its initial value, ragged axes are padded.
        """
        batch = next(len(array) for array in given.values() if array.ndim)
        feeds = {}
        for tensor in self.spec.inputs:
            array = given.get(tensor.name)
            if array is None and tensor.optional:
                array = np.array(0, np.int64)
            elif array is None:
                shape = [batch, *(int(axis) for axis in tensor.axes[1:])]
                array = np.full(shape, tensor.initial, np.float32)
            feeds[tensor.tensor] = self._padded(array, tensor.axes)
        traced = () if UNITS in given else self.spec.traces
        wanted = [tensor for tensor in self.spec.outputs if tensor.name not in traced]
        found = self._session.run([tensor.tensor for tensor in wanted], feeds)
        lengths = self._lengths(given)
        return {
            tensor.name: array[tuple(slice(lengths.get(str(axis))) for axis in tensor.axes)]
            for tensor, array in zip(wanted, found, strict=True)
        }

    def states(self, arrays: Mapping[str, Array]) -> Arrays:
        """Those of `arrays` that this graph takes as state or context."""
        wanted = {tensor.name for tensor in self.spec.inputs if tensor.role in ("state", "context")}
        return {name: array for name, array in arrays.items() if name in wanted}

    def _lengths(self, given: Mapping[str, Array]) -> dict[str, int]:
        """How long the ragged axes are without padding, `batch` among them."""
        shapes = [
            (tensor.axes, given[tensor.name].shape) for tensor in self.spec.inputs if tensor.name in given
        ]
        return {
            axis: size
            for axes, sizes in shapes
            for axis, size in zip(axes, sizes, strict=True)
            if isinstance(axis, str)
        }

    def _padded(self, array: Array, axes: Sequence[str | int]) -> Array:
        widths = [
            (0, -size % self.spec.pad.get(str(axis), 1)) for size, axis in zip(array.shape, axes, strict=True)
        ]
        return np.pad(array, widths) if widths else array


@dataclass(frozen=True)
class Texts:
    """Random token ids [batch, time], zero past each row's length."""

    tokens: Array
    lengths: Array

    def row(self, number: int) -> "Texts":
        """One of them alone, without its padding."""
        length = self.lengths[number]
        return Texts(self.tokens[number : number + 1, :length], self.lengths[number : number + 1])

    def chunks(self, sizes: Sequence[int]) -> Iterator["Texts"]:
        """A text alone, cut into pieces of these sizes and what is left."""
        for piece in np.split(self.tokens, np.cumsum(sizes), axis=1):
            if piece.shape[1]:
                yield Texts(piece, np.array([piece.shape[1]]))

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The same for PyTorch."""
        return torch.from_numpy(self.tokens), torch.from_numpy(self.lengths)


def random_texts(vocab_size: int, seed: int = 0) -> Iterator[Texts]:
    """One batch for each of `SHAPES`."""
    rng = np.random.default_rng(seed)
    for batch, lengths in SHAPES:
        tokens = rng.integers(4, vocab_size, (batch, max(lengths)))
        real = np.arange(max(lengths)) < np.array(lengths)[:, None]
        yield Texts(np.where(real, tokens, 0), np.array(lengths))


class Differences:
    """Collects how far graphs are from PyTorch; refuses what is past the tolerance."""

    def __init__(self, tolerance: float | None) -> None:
        self._tolerance = tolerance
        self._means: list[float] = []

    @property
    def mean(self) -> float:
        """Mean absolute difference over all comparisons."""
        return float(np.mean(self._means))

    def compare(self, what: str, ours: Array, theirs: torch.Tensor) -> None:
        """Both of one shape; raises ExportRefused when they are further apart than the tolerance."""
        gap = np.abs(ours - theirs.detach().float().numpy())
        self._means.append(float(gap.mean()) if gap.size else 0.0)
        if self._tolerance is not None and gap.size and not gap.max() <= self._tolerance:
            raise ExportRefused(
                f"{what}: {gap.max():.2g} away from PyTorch, {self._tolerance:.2g} is allowed"
            )


def require_equal(what: str, ours: Mapping[str, Array], others: Mapping[str, Array]) -> None:
    """Raises ExportRefused when any array differs in any bit."""
    for name, array in ours.items():
        if not np.array_equal(array, others[name]):
            gap = np.abs(array.astype(float) - others[name]).max()
            raise ExportRefused(f"{what}: {name} differs by {gap:.2g}; it must be the same bit for bit")
