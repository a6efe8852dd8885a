"""Answers that are no numbers. A step that gave one has failed, and its session stands where it stood."""

from collections.abc import Iterable

import numpy as np

from service.bundle.manifest import TensorSpec
from service.errors import StepFailed
from service.step import Array, Arrays


def check_outputs(graph: str, tensors: Iterable[TensorSpec], arrays: Iterable[Array]) -> None:
    """StepFailed where an output of a batch holds NaN. Minus infinity is the logarithm of nothing, and a number."""
    for tensor, array in zip(tensors, arrays, strict=True):
        if tensor.role == "output" and holds_nan(array):
            raise _refusal(graph, tensor.name)


def check_rows(graph: str, rows: Iterable[Arrays]) -> None:
    """StepFailed where an output of one of the rows holds NaN; what a batch holds beside its rows is nobody's."""
    for row in rows:
        for name, array in row.items():
            if holds_nan(array):
                raise _refusal(graph, name)


def holds_nan(array: Array) -> bool:
    # The least number of an array with a NaN is NaN; found in one pass, without another array.
    return array.dtype.kind == "f" and array.size > 0 and bool(np.isnan(array.min()))


def _refusal(graph: str, name: str) -> StepFailed:
    return StepFailed(f"graph {graph} failed: its {name} is not a number (NaN)")
