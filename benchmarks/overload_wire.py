"""HTTP/2 (RFC 9113) in few operations: requests are bytes that lie ready, and answers are only looked at.

A gRPC library spends more on a call than the server does on a refusal, and then it is the library that one measures.
"""

import re
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ANSWERS = DATA, HEADERS, RST_STREAM
END_STREAM, END_HEADERS, ACK = 1, 4, 1
HEADER_TABLE_SIZE, MAX_STREAMS, INITIAL_WINDOW = 1, 3, 4
LARGEST_WINDOW = 2**31 - 1
FIRST_WINDOW = 65_535
CANCEL = struct.pack(">I", 8)
STATUS = re.compile(rb"grpc-status.([0-9]{1,2})", re.S)
"""No table of headers is kept (we ask for that), so each comes with its name and its value, in letters."""


class Frame(NamedTuple):
    """A part of the answer of one call."""

    stream: int
    kind: int
    ends: bool
    payload: bytes


class Connection:
    """One connection, never waited for: what is said lies there until `flush`."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.is_open = True
        self.num_calls = 0
        """Under way."""
        self._max_calls = 100
        self._next_stream = 1
        self._may_send = FIRST_WINDOW
        self._num_heard = 0
        self._out = bytearray(
            PREFACE + frame(SETTINGS, 0, 0, _settings()) + _more(LARGEST_WINDOW - FIRST_WINDOW)
        )
        self._in = bytearray()

    @property
    def has_room(self) -> bool:
        """Whether the server lets one more call onto it."""
        return self.is_open and self.num_calls < self._max_calls and self._may_send > 4096

    def call(self, block: bytes, messages: bytes, *, ends: bool) -> int:
        """Begin a call with these headers; its stream."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        self.num_calls += 1
        self._out += frame(HEADERS, END_HEADERS, stream, block)
        self.say(stream, messages, ends=ends)
        return stream

    def say(self, stream: int, messages: bytes, *, ends: bool) -> None:
        self._may_send -= len(messages)
        self._out += frame(DATA, END_STREAM if ends else 0, stream, messages)

    def reset(self, stream: int) -> None:
        """Leave a call."""
        self.num_calls -= 1
        self._out += frame(RST_STREAM, 0, stream, CANCEL)

    def flush(self) -> None:
        """Send what lies there, as far as the socket takes it."""
        if self._out and self.is_open:
            try:
                del self._out[: self.socket.send(self._out)]
            except BlockingIOError:
                return
            except OSError:
                self.is_open = False

    def heard(self) -> Iterator[Frame]:
        """What has come of the answers; all else is answered here."""
        try:
            data = self.socket.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.is_open = self.is_open and bool(data)
        self._in += data
        at, inside = 0, self._in
        while len(inside) - at >= 9 and len(inside) - at >= 9 + (
            size := int.from_bytes(inside[at : at + 3], "big")
        ):
            kind, flags = inside[at + 3], inside[at + 4]
            stream = int.from_bytes(inside[at + 5 : at + 9], "big")
            payload = bytes(inside[at + 9 : at + 9 + size])
            at += 9 + size
            if kind in ANSWERS:
                ends = kind == RST_STREAM or bool(flags & END_STREAM)
                self._num_heard += size if kind == DATA else 0
                yield Frame(stream, kind, ends, payload)
            else:
                self._manage(kind, flags, stream, payload)
        del self._in[:at]
        if self._num_heard > 1 << 28:
            self._out += _more(self._num_heard)
            self._num_heard = 0

    def ended(self) -> None:
        """A call has been answered."""
        self.num_calls -= 1

    def _manage(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            given = dict(struct.iter_unpack(">HI", payload))
            self._max_calls = given.get(MAX_STREAMS, self._max_calls)
            self._out += frame(SETTINGS, ACK, 0, b"")
        elif kind == PING and not flags & ACK:
            self._out += frame(PING, ACK, 0, payload)
        elif kind == WINDOW_UPDATE and not stream:
            self._may_send += int.from_bytes(payload, "big")
        elif kind == GOAWAY:
            self.is_open = False


def asked(address: str, method: str, request: bytes, settings: Mapping[int, int]) -> socket.socket:
    """A connection on which one call has been made, with these settings of HTTP/2; nothing of it has been read."""
    host, _, port = address.rpartition(":")
    peer = socket.create_connection((host, int(port)), 10)
    pairs = b"".join(struct.pack(">HI", *pair) for pair in settings.items())
    with suppress(OSError):
        peer.sendall(
            PREFACE
            + frame(SETTINGS, 0, 0, pairs)
            + frame(HEADERS, END_HEADERS, 1, headers(method, 60_000))
            + frame(DATA, END_STREAM, 1, message(request))
        )
    return peer


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def status_of(payload: bytes) -> int:
    """The gRPC status in a block of headers; -1 where there is none."""
    found = STATUS.search(payload)
    return int(found.group(1)) if found else -1


def headers(method: str, timeout_ms: int) -> bytes:
    """The header block of a call with a deadline, nothing of it compressed."""
    fields = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("grpc-timeout", f"{timeout_ms}m"),
    )
    return b"".join(b"\x00" + _short(name) + _short(value) for name, value in fields)


def message(data: bytes) -> bytes:
    """A gRPC message: not compressed, its length, its bytes."""
    return b"\0" + struct.pack(">I", len(data)) + data


def _short(text: str) -> bytes:
    """HPACK's strings of less than 127 bytes (RFC 7541 section 5.2)."""
    return bytes([len(text)]) + text.encode()


def _settings() -> bytes:
    return struct.pack(">HIHI", HEADER_TABLE_SIZE, 0, INITIAL_WINDOW, LARGEST_WINDOW)


def _more(size: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", size))
