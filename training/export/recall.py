"""Weights read back from a bundle, so that training can go on from a model whose run is gone.

A graph says of its constants which numbers they are, not which weights. So the graphs of a model whose weights are all
different are written once more: where each of them lies there, it lies in the bundle's. What was rounded to eight bits
stays so: an export of what was read gives the same eight bits.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from service.bundle.files import MANIFEST
from service.bundle.reader import Bundle
from training.config import Recipe
from training.data.vocabulary import Vocabulary
from training.export.arithmetic import ARITHMETICS, TINY, Array
from training.export.check import ExportRefused
from training.export.run import Run
from training.export.tasks import export_of
from training.models.build import build
from training.models.start import Start
from training.modules.attention import MASKED

Weights = dict[str, Tensor]
Constants = Mapping[str, Array]
ONE_AND_STEP = 1.0, 1 / 127
"""What scales of weights are multiplied by in a graph, by what they meet there (`training.export.arithmetic`)."""


def start_from(place: Path, recipe: Recipe) -> Start:
    """The weights of a finished run, or of a bundle of the recipe's kind; ExportRefused where there are none."""
    if not (place / MANIFEST).exists():
        run = Run.read(place)
        return Start(run.model.state_dict(), run.vocabulary, str(place))
    vocabulary = Vocabulary.read(place)
    return Start(recall(place, recipe, vocabulary), vocabulary, str(place))


def recall(place: Path, recipe: Recipe, vocabulary: Vocabulary) -> Weights:
    """The weights of a bundle that was exported from a run of `recipe`; ExportRefused where it was not, or where its
    graphs do not hold them all.
    """
    bundle = Bundle.read(place)
    manifest, model = bundle.manifest, build(recipe, vocabulary)
    marks = _marked(model)
    written = export_of(Run(recipe, model.eval(), vocabulary)).graphs(ARITHMETICS[manifest.precision]())
    found: Weights = {}
    for name, (graph, spec) in written.items():
        if name not in manifest.graphs:
            raise ExportRefused(f"{place} has no graph {name}: it was exported from another recipe")
        here, there = constants(graph.serialized()), constants(bundle.read_graph(name))
        if {key: one.shape for key, one in here.items()} != {key: one.shape for key, one in there.items()}:
            raise ExportRefused(
                f"{place}/{spec.file} was exported from another recipe: its weights have other sizes"
            )
        for key, mark in marks.items():
            value = _found(mark, here, there)
            if value is not None and (key not in found or _num_masked(value) < _num_masked(found[key])):
                found[key] = value
    found = {key: _unmasked(value) for key, value in found.items()}
    for key, mark in marks.items():
        if key not in found and not mark.any():  # the second of two biases that only ever meet as a sum
            found[key] = torch.zeros(mark.shape)
    missing = [key for key in marks if key not in found]
    if missing:
        raise ExportRefused(f"{place} does not hold all weights of such a model: {', '.join(missing)}")
    return found


def _marked(model: nn.Module) -> dict[str, Array]:
    """Give a model weights that are all different, and tell them; of biases that are added up the second are zero."""
    torch.manual_seed(0)
    summed = {
        f"{name}.{bias}" if name else bias
        for name, module in model.named_modules()
        if isinstance(module, nn.LSTM | nn.RNN)
        for bias, _ in module.named_parameters()
        if bias.startswith("bias_hh")
    }
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.zero_() if name in summed else weight.normal_()
    return {name: weight.numpy().copy() for name, weight in model.state_dict().items()}


def _found(mark: Array, here: Constants, there: Constants) -> Tensor | None:
    """What stands in the bundle's graph where `mark` stands in the one that was just written; None: it does not."""
    for name, value in here.items():
        if value.shape == mark.shape and value.dtype == np.float32:
            same = np.isclose(value, mark, rtol=1e-5, atol=0)
            if same.all() or (mark.ndim == 1 and (same | (value == MASKED)).all() and same.any()):
                return torch.from_numpy(there[name].copy())
    if mark.ndim != 2:
        return None
    scale = np.maximum(np.abs(mark).max(axis=1), TINY) / 127
    rounded = np.round(mark / scale[:, None]).astype(np.int8)
    for name, value in here.items():
        if value.dtype == np.int8 and np.array_equal(value, rounded):
            return torch.from_numpy(there[name].astype(np.float32) * _scale(scale, here, there)[:, None])
    return None


def _scale(scale: Array, here: Constants, there: Constants) -> Array:
    """The bundle's scale of each row, found as the weights are."""
    for name, value in here.items():
        for factor in ONE_AND_STEP:
            if value.size == scale.size and np.allclose(value.reshape(-1), scale * factor, rtol=1e-4, atol=0):
                return there[name].reshape(-1) / np.float32(factor)
    raise AssertionError("weights in eight bits have a scale")


def _num_masked(value: Tensor) -> int:
    return int((value == MASKED).sum())


def _unmasked(value: Tensor) -> Tensor:
    """A graph has no bias of tokens that it never writes; they begin with the least there is."""
    masked = value == MASKED
    return value.masked_fill(masked, float(value[~masked].min())) if masked.any() else value


def constants(graph: bytes) -> dict[str, Array]:
    """Of an ONNX file and the graphs inside it, by name."""
    model = onnx.load_from_string(graph)
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in _initializers(model.graph)}


def _initializers(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _initializers(attribute.g)
