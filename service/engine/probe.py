"""A graph outside of a bundle: what its file says, and what it does, before anything is known about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from service.engine.onnx import ONNX_TYPES
from service.errors import BundleRefused
from service.step import Array

FATAL_ONLY = 4
_DTYPES = {onnx: dtype for dtype, onnx in ONNX_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Found:
    """A tensor as the file describes it."""

    name: str
    dtype: str
    """As in a manifest, or the file's own word where there is none."""
    shape: tuple[int | str | None, ...]
    """A size, a name for one that may differ, or None for one without a name."""

    @property
    def is_known(self) -> bool:
        """Whether a manifest can say what it is."""
        return self.dtype in ONNX_TYPES


class Probe:
    """Runs a file on the CPU, its weights in the file or beside it."""

    def __init__(self, path: Path) -> None:
        """BundleRefused where it is no model that ONNX Runtime can load."""
        self.path = path
        options = onnxruntime.SessionOptions()
        options.log_severity_level = FATAL_ONLY  # what cannot be run is tried, too
        options.intra_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # a damaged or hostile file raises anything
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise BundleRefused(f"{path}: ONNX Runtime cannot load it: {reason}") from None
        self.inputs = [_found(tensor) for tensor in self._session.get_inputs()]
        self.outputs = [_found(tensor) for tensor in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """All outputs by name; None where the graph does not run on these shapes."""
        names = [tensor.name for tensor in self.outputs]
        try:
            arrays = self._session.run(names, dict(feeds))
        except Exception:  # ONNX Runtime's errors have no common class
            return None
        return dict(zip(names, map(np.asarray, arrays), strict=True))


def _found(tensor: "onnxruntime.NodeArg") -> Found:
    shape = tuple(size if isinstance(size, int) and size > 0 else size or None for size in tensor.shape)
    return Found(tensor.name, _DTYPES.get(tensor.type, tensor.type), shape)
