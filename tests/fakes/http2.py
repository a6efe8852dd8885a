"""HTTP/2 frame by frame (RFC 9113), for callers who do not keep to what a library would."""

import socket
import struct
from types import TracebackType
from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
INITIAL_WINDOW = 4
ENHANCE_YOUR_CALM = 11
PATIENCE_S = 60.0


class Peer:
    """A connection on which one says what one likes. Blocks: use it in a thread where a server shares the loop."""

    def __init__(self, port: int, settings: dict[int, int] | None = None, *, greets: bool = True) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._rest = b""
        if greets:
            pairs = b"".join(struct.pack(">HI", *pair) for pair in (settings or {}).items())
            self.raw(PREFACE + frame(SETTINGS, 0, 0, pairs))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def raw(self, data: bytes) -> None:
        """Say it; whoever has hung up does not hear it."""
        try:
            self._socket.sendall(data)
        except OSError:
            return

    def send(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        self.raw(frame(kind, flags, stream, payload))

    def call(self, stream: int, method: str, *more: tuple[str, str]) -> None:
        """Begin a call; nothing of the request has been said then."""
        self.send(HEADERS, END_HEADERS, stream, headers(method, *more))

    def frames(self) -> list[tuple[int, int, bytes]]:
        """Kind, stream and payload of all that is heard until the other side hangs up."""
        found = []
        while (one := self.frame()) is not None:
            found.append(one)
        return found

    def until(self, kind: int, holding: bytes = b"") -> tuple[int, int, bytes]:
        """The next frame of this kind that holds these bytes; fails when the other side hangs up before."""
        while (one := self.frame()) is not None:
            if one[0] == kind and holding in one[2]:
                return one
        raise AssertionError("the connection was closed")

    def frame(self) -> tuple[int, int, bytes] | None:
        head = self._take(9)
        if head is None:
            return None
        payload = self._take(int.from_bytes(head[:3], "big"))
        return None if payload is None else (head[3], int.from_bytes(head[5:], "big"), payload)

    def _take(self, size: int) -> bytes | None:
        while len(self._rest) < size:
            try:
                data = self._socket.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                return None
            self._rest += data
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def headers(method: str, *more: tuple[str, str]) -> bytes:
    """The header block of a gRPC call, nothing of it compressed."""
    fields = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *more,
    )
    return b"".join(b"\x00" + _string(name) + _string(value) for name, value in fields)


def _string(text: str) -> bytes:
    """HPACK's strings (RFC 7541 §5.2), not Huffman coded."""
    data, size = text.encode(), len(text.encode())
    if size < 127:
        return bytes([size]) + data
    size, more = size - 127, b""
    while size > 127:
        more += bytes([size & 127 | 128])
        size >>= 7
    return b"\x7f" + more + bytes([size]) + data


def message(data: bytes) -> bytes:
    """A gRPC message: not compressed, its length, its bytes."""
    return b"\0" + struct.pack(">I", len(data)) + data
