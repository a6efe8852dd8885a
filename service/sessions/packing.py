"""A session that nobody speaks in, packed into one string of bytes: its snapshot, and what only its server knows of it.

Unpacked, a session is a few dozen Python objects, which take half as much again as its state and which the garbage
collector looks at; packed it is as long as its state and half a kilobyte. It keeps what a resume on another server
would give it: of the turns that can be gone back to, the newest `stored_turns`.

    length of what follows u32 │ the snapshot's header, deflated │ the snapshot's arrays
"""

import struct
import zlib
from dataclasses import replace

from service.config import SessionSettings
from service.registry import Served
from service.sessions.durability import Mode
from service.sessions.record import from_snapshot, to_snapshot
from service.sessions.session import Session
from service.sessions.snapshot import decode, encode, header_end

_KNOWN_HERE = "known here"
_HERE = ("steps", "revision", "saved_steps", "durable_turn", "stored_at", "unanswered_claim")
"""What only this server knows, as JSON values."""
_LENGTH = struct.Struct("<I")
_FASTEST = 1


def can_pack(session: Session) -> bool:
    """Whether nothing of it still has to be written to the store."""
    return session.durability.mode is Mode.NONE or session.is_stored


def pack(session: Session, settings: SessionSettings) -> bytes:
    """The session as bytes; ValueError when it cannot be written down."""
    snapshot = to_snapshot(session, settings, 0.0)
    here = [getattr(session, name) for name in _HERE]
    data = encode(replace(snapshot, facts={**snapshot.facts, _KNOWN_HERE: here}))
    end = header_end(data)
    header = zlib.compress(data[:end], _FASTEST)
    return b"".join((_LENGTH.pack(len(header)), header, memoryview(data)[end:]))


def unpack(packed: bytes, served: Served, settings: SessionSettings) -> Session:
    """The session that was packed."""
    (length,) = _LENGTH.unpack_from(packed)
    start = _LENGTH.size + length
    header = zlib.decompress(memoryview(packed)[_LENGTH.size : start])
    snapshot = decode(b"".join((header, memoryview(packed)[start:])))
    session = from_snapshot(snapshot, snapshot.session_id, snapshot.owner, served, settings)
    for name, value in zip(_HERE, snapshot.facts[_KNOWN_HERE], strict=True):
        setattr(session, name, value)
    return session
