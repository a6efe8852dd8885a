"""The files of a bundle's graphs: weights that several graphs use are written once, beside them.

How they come together again is `service.bundle.weights`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import onnx

from service.bundle.weights import WEIGHTS, joined
from training.export.check import ExportRefused

LARGE = 1024
"""Bytes of an initializer from which on it may lie elsewhere."""
WORTH = 0.1
"""How much smaller all files together have to become."""
ALIGNED = 64
"""Where initializers begin: at multiples of a line of a processor's cache."""

Tensor = Any


def shared_files(graphs: Mapping[str, bytes]) -> dict[str, bytes]:
    """File → bytes, of whole graphs → as they are written, with the file of what they share, if that is worth it."""
    models = {file: onnx.load_model_from_string(graph) for file, graph in graphs.items()}
    count = Counter(key for model in models.values() for key in {_key(t) for t in _large(model)})
    weights, offsets = bytearray(), dict[Any, int]()
    for model in models.values():
        taken = set[Any]()
        for tensor in _large(model):
            key = _key(tensor)
            if count[key] > 1 and key not in taken:
                _move(tensor, weights, offsets)
                taken.add(key)
    files = {file: model.SerializeToString(deterministic=True) for file, model in models.items()}
    files[WEIGHTS] = bytes(weights)
    _require_same(graphs, files)
    before, after = (sum(map(len, each.values())) for each in (graphs, files))
    return files if after <= (1 - WORTH) * before else dict(graphs)


def _large(model: onnx.ModelProto) -> Iterator[Tensor]:
    return (tensor for tensor in model.graph.initializer if len(tensor.raw_data) >= LARGE)


def _key(tensor: Tensor) -> tuple[Any, ...]:
    """Tensors with one key are one."""
    return tensor.data_type, tuple(tensor.dims), hashlib.sha256(tensor.raw_data).digest()


def _move(tensor: Tensor, weights: bytearray, offsets: dict[Any, int]) -> None:
    """From the graph to the weights, where it may be already."""
    key, data = _key(tensor), tensor.raw_data
    if key not in offsets:
        weights.extend(bytes(-len(weights) % ALIGNED))
        offsets[key] = len(weights)
        weights.extend(data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for name, value in (("location", WEIGHTS), ("offset", offsets[key]), ("length", len(data))):
        tensor.external_data.add(key=name, value=str(value))


def _require_same(graphs: Mapping[str, bytes], files: Mapping[str, bytes]) -> None:
    """What was checked against the model is what will be served."""
    for file, graph in graphs.items():
        if joined(files[file], files[WEIGHTS]) != graph:
            raise ExportRefused(f"{file}: with the weights that it shares it is not what it was without")
