"""A snapshot: a whole session as bytes.

    magic "SQSN" · format u16 · header length u32 │ header (canonical JSON) │ arrays │ BLAKE2b-256 of all before

Numbers and arrays are little-endian; arrays lie in the header's order, without gaps. Nothing in it is executable, and
no size is believed before it is checked against the bytes that are there.
"""

import hashlib
import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.errors import SnapshotRefused
from service.step import Array, Arrays

FORMAT = 1
"""Raised when a reader of the last format could not read the next one."""
MAX_BYTES = 64 * 1024 * 1024
MAX_HEADER_BYTES = 4 * 1024 * 1024
MAX_ARRAYS = 4096
MAX_DIMENSIONS = 16
MAX_DEPTH = 64
"""Of lists and objects within each other in the header."""

DTYPES = {
    "bool": "?",
    "int8": "<i1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
    "uint8": "<u1",
    "uint16": "<u2",
    "uint32": "<u4",
    "uint64": "<u8",
    "float16": "<f2",
    "float32": "<f4",
    "float64": "<f8",
}
"""What arrays may be made of, and how it is written."""

PARTS = {"session_id", "owner", "model", "epoch", "created_at", "expires_at", "facts", "arrays"}
"""Of the header. What comes to be known of a session later has its place among the facts."""

_MAGIC = b"SQSN"
_START = struct.Struct("<4sHI")
_CHECKSUM_BYTES = 32
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_NAMES = {np.dtype(code): name for name, code in DTYPES.items()}
"""Asking numpy for the name of a dtype takes ten times as long."""
_to_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
"""`json.dumps` would make an encoder for each snapshot."""


@dataclass(frozen=True, slots=True)
class Written:
    """A JSON value that is written already: what goes into many snapshots need not be written for each."""

    text: str
    """In canonical form."""
    depth: int
    """Of lists and objects within each other."""

    @classmethod
    def of(cls, value: Any) -> "Written":
        """A JSON value; ValueError where there is a number in it that is not finite."""
        text = _to_json(value)
        return cls(text, _depth_of(text.encode("utf-8")) if isinstance(value, list | dict | tuple) else 0)

    @classmethod
    def list_of(cls, values: Sequence["Written"]) -> "Written":
        """Those that are written, as a list."""
        depth = 1 + max((value.depth for value in values), default=0)
        return cls(f"[{','.join(value.text for value in values)}]", depth)

    @classmethod
    def object_of(cls, values: Mapping[str, Any]) -> "Written":
        """An object, some of whose values may be written."""
        ordered = [
            (key, value if isinstance(value, Written) else cls.of(value))
            for key, value in sorted(values.items())
        ]
        depth = 1 + max((value.depth for _, value in ordered), default=0)
        return cls(f"{{{','.join(f'{_to_json(key)}:{value.text}' for key, value in ordered)}}}", depth)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All that a session is. A value: whoever takes it up gets arrays of his own."""

    session_id: str
    owner: str
    model: str
    """The model's name."""
    version: str
    """The model's version."""
    manifest_hash: str
    """Of the model version's manifest: state fits no other."""
    epoch: int
    created_at: float
    """Wall clock, in seconds."""
    expires_at: float
    facts: Mapping[str, Any]
    """Positions, turns, options and so on: JSON values; keys are strings, floats are finite (others go to `arrays`).
    Where it is to be encoded, some may be `Written`."""
    arrays: Arrays
    """By name; nested ones are flattened, as in `reading/state/h`."""


def encode(snapshot: Snapshot) -> bytes:
    """The snapshot as bytes; ValueError when it holds what the format has no place for."""
    written = _header_of(snapshot)
    header = written.text.encode("utf-8")
    if len(snapshot.arrays) > MAX_ARRAYS or len(header) > MAX_HEADER_BYTES or written.depth > MAX_DEPTH:
        raise ValueError(
            "a snapshot has too many arrays, too many facts, or facts that are nested too deeply"
        )
    parts = [_START.pack(_MAGIC, FORMAT, len(header)), header, *map(_bytes_of, snapshot.arrays.values())]
    parts.append(_checksum(parts))
    if sum(map(len, parts)) > MAX_BYTES:
        raise ValueError(f"a snapshot has at most {MAX_BYTES} bytes")
    return b"".join(parts)


def decode(data: bytes) -> Snapshot:
    """The snapshot in the bytes; SnapshotRefused with the reason."""
    header_bytes = _checked_header_bytes(data)
    if _checksum([memoryview(data)[:-_CHECKSUM_BYTES]]) != data[-_CHECKSUM_BYTES:]:
        raise SnapshotRefused("the snapshot is damaged: its checksum does not fit")
    end = _START.size + header_bytes
    header = _parsed(data[_START.size : end])
    body = memoryview(data)[end:-_CHECKSUM_BYTES]
    try:
        return _from_header(header, dict(_read_arrays(header["arrays"], body)))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise SnapshotRefused(f"the snapshot is not well formed: {error!r}") from None


def header_end(data: bytes) -> int:
    """Where the header ends, and the arrays begin, in bytes that `encode` made."""
    _, _, header_bytes = _START.unpack_from(data)
    return _START.size + int(header_bytes)


def check_fits(
    snapshot: Snapshot, *, session_id: str, owner: str, model: str, version: str, manifest_hash: str
) -> None:
    """Check that it is of this session and of exactly this model version; SnapshotRefused with the reason."""
    if (snapshot.session_id, snapshot.owner) != (session_id, owner):
        raise SnapshotRefused("the snapshot is of another session")
    if (snapshot.model, snapshot.version) != (model, version):
        raise SnapshotRefused(
            f"the snapshot is of model {snapshot.model}/{snapshot.version}, not of {model}/{version}"
        )
    if snapshot.manifest_hash != manifest_hash:
        raise SnapshotRefused(
            f"the snapshot is of another build of {model}/{version}: manifest {snapshot.manifest_hash[:12]}…, "
            f"and here it is {manifest_hash[:12]}…"
        )


def _header_of(snapshot: Snapshot) -> Written:
    return Written.object_of(
        {
            "session_id": snapshot.session_id,
            "owner": snapshot.owner,
            "model": [snapshot.model, snapshot.version, snapshot.manifest_hash],
            "epoch": snapshot.epoch,
            "created_at": float(snapshot.created_at),
            "expires_at": float(snapshot.expires_at),
            "facts": Written.object_of(snapshot.facts),
            "arrays": [[name, _dtype_of(name, a), list(a.shape)] for name, a in snapshot.arrays.items()],
        }
    )


def _dtype_of(name: str, array: Array) -> str:
    known = _NAMES.get(array.dtype) or array.dtype.name
    if known not in DTYPES or array.ndim > MAX_DIMENSIONS:
        raise ValueError(f"a snapshot cannot hold {name}: {array.dtype} of {array.ndim} dimensions")
    return known


def _bytes_of(array: Array) -> bytes:
    if array.dtype not in _NAMES:  # the other byte order
        array = array.astype(DTYPES[array.dtype.name])
    return array.tobytes()


def _checksum(parts: list[Any]) -> bytes:
    digest = hashlib.blake2b(digest_size=_CHECKSUM_BYTES)
    for part in parts:
        digest.update(part)
    return digest.digest()


def _checked_header_bytes(data: bytes) -> int:
    """The header's length, once the frame around it makes sense."""
    if len(data) < _START.size + _CHECKSUM_BYTES:
        raise SnapshotRefused(f"the snapshot is truncated: {len(data)} bytes")
    magic, version, header_bytes = _START.unpack_from(data)
    if magic != _MAGIC:
        raise SnapshotRefused("these bytes are not a snapshot")
    if version > FORMAT:
        raise SnapshotRefused(
            f"the snapshot has format {version}, and this server reads up to {FORMAT}: upgrade seqserve"
        )
    if version < FORMAT:
        raise SnapshotRefused(f"the snapshot has format {version}, which never was")
    if len(data) > MAX_BYTES or header_bytes > MAX_HEADER_BYTES:
        raise SnapshotRefused("the snapshot is larger than any that is written")
    if _START.size + header_bytes + _CHECKSUM_BYTES > len(data):
        raise SnapshotRefused("the snapshot is truncated: it ends within its header")
    return int(header_bytes)


def _parsed(header: bytes) -> dict[str, Any]:
    """The header's values. Canonical only: no key twice, nothing that reads one way and writes another."""
    if _depth_of(header) > MAX_DEPTH:
        raise SnapshotRefused("the snapshot's header is nested too deeply")
    try:
        parsed = json.loads(header.decode("utf-8"))  # of bytes it would guess the encoding
        canonical = _to_json(parsed).encode("utf-8")
    except ValueError:
        raise SnapshotRefused("the snapshot's header is not JSON") from None
    if canonical != header or not isinstance(parsed, dict):
        raise SnapshotRefused("the snapshot's header is not in canonical form")
    return parsed


def _depth_of(header: bytes) -> int:
    """How deeply lists and objects lie within each other; told from the bytes, so that no parser has to survive it."""
    unescaped = header.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_strings = b"".join(unescaped.split(b'"')[::2])
    depth = deepest = 0
    for bracket in outside_strings.translate(None, _NO_BRACKET):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _read_arrays(entries: list[Any], body: memoryview) -> Iterator[tuple[str, Array]]:
    """The arrays by name; they must fill the body exactly."""
    if len(entries) > MAX_ARRAYS or len({name for name, _, _ in entries}) < len(entries):
        raise ValueError("too many arrays, or two of one name")
    at = 0
    for name, dtype_name, shape in entries:
        dtype, size = np.dtype(DTYPES[dtype_name]), _size_of(shape)
        if size * dtype.itemsize > len(body) - at:
            raise ValueError(f"array {name} ends after the snapshot")
        yield _text(name), np.frombuffer(body, dtype, size, at).reshape(shape).copy()
        at += size * dtype.itemsize
    if at != len(body):
        raise ValueError(f"{len(body) - at} bytes belong to no array")


def _size_of(shape: list[Any]) -> int:
    if len(shape) > MAX_DIMENSIONS or not all(type(n) is int and 0 <= n <= MAX_BYTES for n in shape):
        raise ValueError(f"a shape of {shape}")
    return math.prod(shape)


def _from_header(header: dict[str, Any], arrays: Arrays) -> Snapshot:
    if header.keys() != PARTS:
        raise ValueError(f"parts that there are not: {sorted(header.keys() ^ PARTS)}")
    model, version, manifest_hash = map(_text, header["model"])
    if type(header["epoch"]) is not int or not isinstance(header["facts"], dict):
        raise TypeError("epoch or facts")
    return Snapshot(
        session_id=_text(header["session_id"]),
        owner=_text(header["owner"]),
        model=model,
        version=version,
        manifest_hash=manifest_hash,
        epoch=header["epoch"],
        created_at=_seconds(header["created_at"]),
        expires_at=_seconds(header["expires_at"]),
        facts=header["facts"],
        arrays=arrays,
    )


def _seconds(value: Any) -> float:
    """A time as it is written: never as a whole number, which would be written otherwise again."""
    if type(value) is not float:
        raise TypeError(f"not a time: {value!r}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not a text: {value!r}")
    return value
