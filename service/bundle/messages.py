"""Protobuf messages, field by field, without knowing what they mean: for files that nobody has checked yet.

How they are written: https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterator
from typing import NamedTuple

MAX_TAG_BYTES, MAX_VARINT_BYTES = 5, 10

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}


class Damaged(ValueError):
    """The bytes are no protobuf message."""


class Field(NamedTuple):
    """One of a message's."""

    number: int
    value: memoryview | int | None
    """What lies within, or a varint; None: of fixed width, of which nothing here knows any."""
    raw: memoryview
    """All of it, as it stands in the message."""


def fields(message: memoryview) -> Iterator[Field]:
    """In their order, none left out: the `raw` of all are the message; Damaged."""
    at, end = 0, len(message)
    while at < end:
        start = at
        tag, at = _varint(message, at, MAX_TAG_BYTES)
        number, wire = tag >> 3, tag & 7
        value: memoryview | int | None = None
        if wire == _VARINT:
            value, at = _varint(message, at, MAX_VARINT_BYTES)
        elif wire == _BYTES:
            size, at = _varint(message, at, MAX_VARINT_BYTES)
            if size > end - at:
                raise Damaged("cut off")
            value, at = message[at : at + size], at + size
        elif wire in _SIZES:
            at += _SIZES[wire]
        else:
            raise Damaged(f"wire type {wire}")  # groups, which ONNX has none of
        if at > end:
            raise Damaged("cut off")
        yield Field(number, value, message[start:at])


def numbers(value: memoryview) -> Iterator[int]:
    """Varints one after the other: how a repeated field may be packed; Damaged."""
    at = 0
    while at < len(value):
        number, at = _varint(value, at, MAX_VARINT_BYTES)
        yield number


def head(number: int, size: int) -> bytes:
    """What stands in front of a field's content of so many bytes."""
    return _as_varint(number << 3 | _BYTES) + _as_varint(size)


def _varint(message: memoryview, at: int, max_bytes: int) -> tuple[int, int]:
    value = shift = 0
    for byte in message[at : at + max_bytes]:
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise Damaged("cut off, or a number without end")


def _as_varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
