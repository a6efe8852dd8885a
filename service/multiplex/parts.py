"""Messages ⇄ frames, and metadata ⇄ headers."""

from collections.abc import Iterable, Iterator

from seqserve.v1.multiplex_pb2 import Frame, Header

MAX_PART = 32_768
"""Bytes of a message in one frame, so that a long one lets those of other calls pass."""
BINARY = "-bin"

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


def metadata_of(headers: Iterable[Header]) -> Metadata:
    """Metadata as gRPC would give it; UnicodeDecodeError where a value that should be ASCII is not."""
    return tuple(
        (header.key, header.value if header.key.endswith(BINARY) else header.value.decode("ascii"))
        for header in headers
    )
