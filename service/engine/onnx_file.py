"""Looks through the bytes of an ONNX file for tensors whose data lie elsewhere, before anything loads it.

ONNX Runtime would open the file that such a tensor names, whatever it is called, and takes some names for addresses in
memory. A search for the name alone could be led astray: the same message can be written in many ways. So the message
itself is walked, as far as tensors can stand in it (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from collections.abc import Iterator, Mapping

MAX_DEPTH = 64
MAX_TAG_BYTES, MAX_VARINT_BYTES = 5, 10

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}

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


class Damaged(ValueError):
    """The bytes are no protobuf message."""


def has_external_data(model: bytes) -> bool:
    """Whether any tensor of the file, at whatever depth, says that its data lie elsewhere; Damaged."""
    return _looks_elsewhere(memoryview(model), "model", 0)


def _looks_elsewhere(message: memoryview, kind: str, depth: int) -> bool:
    if depth > MAX_DEPTH:
        raise Damaged("nested too deeply")
    if kind == "tensor":
        return any(
            number == EXTERNAL_DATA or (number == DATA_LOCATION and value != 0)
            for number, value in _fields(message)
        )
    inner = PARTS[kind]
    return any(
        _looks_elsewhere(value, inner[number], depth + 1)
        for number, value in _fields(message)
        if number in inner and isinstance(value, memoryview)
    )


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Field numbers and their values: bytes, or a varint; of fixed width ones nothing is needed."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at, MAX_TAG_BYTES)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(message, at, MAX_VARINT_BYTES)
            yield number, value
        elif wire == _BYTES:
            size, at = _varint(message, at, MAX_VARINT_BYTES)
            if size > end - at:
                raise Damaged("cut off")
            yield number, message[at : at + size]
            at += size
        elif wire in _SIZES:
            at += _SIZES[wire]
        else:
            raise Damaged(f"wire type {wire}")  # groups, which ONNX has none of
    if at > end:
        raise Damaged("cut off")


def _varint(message: memoryview, at: int, max_bytes: int) -> tuple[int, int]:
    value = shift = 0
    for byte in message[at : at + max_bytes]:
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise Damaged("cut off, or a number without end")
