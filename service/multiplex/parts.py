"""Messages ⇄ frames, and metadata ⇄ headers."""

import re
from collections.abc import Iterable, Iterator

from seqserve.v1.multiplex_pb2 import Frame, Header

MAX_PART = 32_768
"""Bytes of a message in one frame, so that a long one lets those of other calls pass."""
BINARY = "-bin"
PER_HEADER = 32
"""What an entry counts beside its bytes, as HTTP/2 has it."""
_KEY, _VALUE = re.compile(r"[0-9a-z_.-]+"), re.compile(rb"[\x20-\x7e]*")
"""What HTTP/2 and gRPC take; here nobody else has looked."""

Metadata = tuple[tuple[str, str | bytes], ...]


def parts_of(call: int, message: bytes) -> Iterator[Frame]:
    """The frames that carry a message; one for nearly all."""
    if len(message) <= MAX_PART:
        yield Frame(call=call, message=message)
        return
    for start in range(0, len(message), MAX_PART):
        end = start + MAX_PART
        yield Frame(call=call, message=message[start:end], more=end < len(message))


def headers_of(metadata: Iterable[tuple[str, str | bytes]]) -> Iterator[Header]:
    """Metadata as it travels."""
    for key, value in metadata:
        yield Header(key=key, value=value.encode("ascii") if isinstance(value, str) else value)


def size_of(headers: Iterable[Header]) -> int:
    """Bytes of metadata, as HTTP/2 counts them."""
    return sum(len(header.key) + len(header.value) + PER_HEADER for header in headers)


def metadata_of(headers: Iterable[Header]) -> Metadata:
    """Metadata as gRPC would give it; ValueError where gRPC would not."""
    return tuple((header.key, _value_of(header)) for header in headers)


def _value_of(header: Header) -> str | bytes:
    if not _KEY.fullmatch(header.key):
        raise ValueError("the name of a header has a-z, 0-9, and _.- in it")
    if header.key.endswith(BINARY):
        return header.value
    if not _VALUE.fullmatch(header.value):
        raise ValueError("a header is printable ASCII, but for those whose names end in -bin")
    return header.value.decode("ascii")
