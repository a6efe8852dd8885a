"""Snapshots: bytes to a session. A header without a frame gets a good one, so that its content is reached."""

import asyncio
import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from service.config import SessionSettings
from service.errors import SnapshotRefused
from service.registry import Served
from service.sessions import Durability, Mode, Session
from service.sessions.record import from_snapshot, to_snapshot
from service.sessions.snapshot import decode, encode
from service.tasks.conversation import Conversation
from service.tasks.decoding import DecodingOptions
from tests.fakes.replica import LIMITS
from tests.fakes.toy_bundles import write_toy_classifier, write_toy_translator
from tests.fakes.toy_server import toy_served
from tests.fuzz.folders import new_folder
from tests.fuzz.target import Target, json_words

SETTINGS = SessionSettings(stored_turns=3)
START = struct.Struct("<4sHI")


def framed(data: bytes) -> bytes:
    """`header NUL arrays` as a snapshot whose checksum fits; a snapshot as it is."""
    if data.startswith(b"SQSN"):
        return data
    header, _, body = data.partition(b"\0")
    try:
        tree = json.loads(header)
        header = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        pass
    whole = START.pack(b"SQSN", 1, len(header)) + header + body
    return whole + hashlib.blake2b(whole, digest_size=32).digest()


def bare(snapshot: bytes) -> bytes:
    """Without its frame."""
    _, _, length = START.unpack_from(snapshot)
    return snapshot[START.size : START.size + length] + b"\0" + snapshot[START.size + length : -32]


@cache
def served() -> Served:
    """A translator, whose graphs are not run any more."""
    with toy_served(write_toy_translator(new_folder())) as toy:
        return toy


def read(data: bytes) -> None:
    snapshot = decode(framed(data))
    assert encode(snapshot) == framed(data), "what was read is written otherwise"
    bundle = served().bundle
    fitting = replace(
        snapshot,
        model=bundle.manifest.name,
        version=bundle.manifest.version,
        manifest_hash=bundle.manifest_hash,
    )
    session = from_snapshot(fitting, snapshot.session_id, snapshot.owner, served(), SETTINGS)
    again = decode(encode(to_snapshot(session, SETTINGS, 0.0)))
    assert again.session_id == snapshot.session_id


async def sessions() -> list[Session]:
    """A translation that has begun, and a classification."""
    found = []
    for write, says in ((write_toy_translator, True), (write_toy_classifier, False)):
        with toy_served(write(new_folder())) as toy:
            session = Session("id", "alice", toy, 60.0, durability=Durability(Mode.EVERY_N_STEPS, 4), epoch=7)
            talk = Conversation(session, LIMITS)
            for word in ("uno ", "dos ", "tre"):
                await talk.feed(word)
            if says:
                await talk.feed(None, ends=True)
                options = DecodingOptions.of(toy.manifest)
                _ = [answer async for answer in talk.generate(options)]
            found.append(session)
    return found


def snapshots() -> Iterator[bytes]:
    for session in asyncio.run(sessions()):
        yield encode(to_snapshot(session, SETTINGS, 1000.0))


def seeds() -> Iterator[bytes]:
    for snapshot in snapshots():
        yield snapshot
        yield bare(snapshot)


TARGET = Target(
    "snapshots",
    read,
    seeds,
    refusals=(SnapshotRefused,),
    max_bytes=8192,
    words=json_words("facts", "standing", "standings", "turns", "at", "arrays", "context", "unfinished"),
)
