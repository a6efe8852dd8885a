"""Looks through the bytes of an ONNX file for tensors whose data lie elsewhere, before anything loads it.

ONNX Runtime would open the file that such a tensor names, whatever it is called, and takes some names for addresses in
memory. A search for the name alone could be led astray: the same message can be written in many ways. So the message
itself is walked, as far as tensors can stand in it (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from collections.abc import Mapping

from service.bundle.messages import Damaged, fields

MAX_DEPTH = 64

PARTS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""Message → field number → message: all ways that lead to a tensor."""

EXTERNAL_DATA, DATA_LOCATION = 13, 14


def has_external_data(model: bytes) -> bool:
    """Whether any tensor of the file, at whatever depth, says that its data lie elsewhere; Damaged."""
    return _looks_elsewhere(memoryview(model), "model", 0)


def _looks_elsewhere(message: memoryview, kind: str, depth: int) -> bool:
    if depth > MAX_DEPTH:
        raise Damaged("nested too deeply")
    if kind == "tensor":
        return any(
            number == EXTERNAL_DATA or (number == DATA_LOCATION and value != 0)
            for number, value, _ in fields(message)
        )
    inner = PARTS[kind]
    return any(
        _looks_elsewhere(value, inner[number], depth + 1)
        for number, value, _ in fields(message)
        if number in inner and isinstance(value, memoryview)
    )
