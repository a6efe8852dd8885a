"""Sequences: which session a request of the Open Inference Protocol goes on with.

The ids are the clients' own choice, so they mean something only to whoever chose them: the same id of another owner,
of another connection or for another model is another sequence. Where a proxy spreads the calls of one client over
several connections, the key that keeps its calls on one server (header `seqserve-session`) takes the connection's
place.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import grpc

from service.api.affinity import affinity_key
from service.api.inference.parameters import SequenceId
from service.api.owners import Owners
from service.errors import SessionNotFound
from service.registry import Served
from service.sessions import Session, Sessions

SLACK_S = 1.0


class Caller(NamedTuple):
    """Who asks, and over which connection."""

    owner: str
    connection: str

    @classmethod
    def of(cls, context: "grpc.aio.ServicerContext[Any, Any]", owners: Owners) -> "Caller":
        key = affinity_key(context)
        return cls(owners.owner_of(context), f"key {key}" if key else f"peer {context.peer()}")


class Key(NamedTuple):
    """What tells one sequence from another."""

    caller: Caller
    model: str
    id: SequenceId


@dataclass(slots=True)
class _Sequence:
    session_id: str = ""
    """Empty before the first request is done, and after the last."""
    num_inside: int = 0
    """Requests that hold it or wait to."""
    used_at: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Sequences:
    """Each sequence has a session, which its requests hold one after the other, in the order in which they came."""

    def __init__(self, sessions: Sessions, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._sessions = sessions
        self.ttl_s = ttl_s
        """How long a sequence is kept without a request: as long as its session."""
        self._clock = clock
        self._known: OrderedDict[Key, _Sequence] = OrderedDict()
        """Used longest ago first."""

    def __len__(self) -> int:
        return len(self._known)

    def find(self, caller: Caller, model: str, sequence_id: SequenceId) -> Key | None:
        """The key of a sequence under way of a model, or of one whose graph this is."""
        keys = (Key(caller, name, sequence_id) for name in (model, model.rpartition(".")[0]))
        return next((key for key in keys if key in self._known), None)

    @asynccontextmanager
    async def hold(self, key: Key, starts_on: Served | None, *, ends: bool) -> AsyncIterator[Session]:
        """Hold the session of a sequence while inside; a new one on that version where the sequence starts.

        What was there under the same key is ended once the first request of the new sequence is done, and the sequence
        with its last one. A request that fails leaves the sequence as it was, so it can be sent again.
        """
        self._forget_old()
        sequence = self._known.setdefault(key, _Sequence())
        sequence.num_inside += 1
        try:
            async with sequence.lock:
                session_id = await self._session_id(key, sequence, starts_on)
                try:
                    async with self._sessions.hold(key.caller.owner, session_id) as holding:
                        yield holding.session
                        await self._sessions.moved_on(holding.session)
                except SessionNotFound:
                    sequence.session_id = ""
                    raise unknown_sequence(key) from None
                except BaseException:
                    if starts_on is not None:
                        await self._close(key, session_id)
                    raise
                if session_id != sequence.session_id:
                    await self._end(key, sequence)
                    sequence.session_id = session_id
                if ends:
                    await self._end(key, sequence)
        finally:
            self._leave(key, sequence)

    async def _session_id(self, key: Key, sequence: _Sequence, starts_on: Served | None) -> str:
        if starts_on is not None:
            return (await self._sessions.open(key.caller.owner, starts_on)).id
        if not sequence.session_id:
            raise unknown_sequence(key)
        return sequence.session_id

    async def _end(self, key: Key, sequence: _Sequence) -> None:
        session_id, sequence.session_id = sequence.session_id, ""
        if session_id:
            await self._close(key, session_id)

    async def _close(self, key: Key, session_id: str) -> None:
        with suppress(SessionNotFound):  # its time was over
            async with self._sessions.hold(key.caller.owner, session_id) as holding:
                await self._sessions.close(holding.session)

    def _leave(self, key: Key, sequence: _Sequence) -> None:
        sequence.num_inside -= 1
        sequence.used_at = self._clock()
        if sequence.session_id:
            self._known.move_to_end(key)
        elif not sequence.num_inside:
            del self._known[key]

    def _forget_old(self) -> None:
        """Their sessions have been forgotten by then."""
        before = self._clock() - self.ttl_s - SLACK_S
        while self._known:
            key, sequence = next(iter(self._known.items()))
            if sequence.num_inside or sequence.used_at > before:
                break
            del self._known[key]


def unknown_sequence(key: Key) -> SessionNotFound:
    return SessionNotFound(
        f"there is no sequence {key.id!r} of {key.model} on this connection: its first request says sequence_start, "
        "and a sequence that nobody goes on with is forgotten after a while",
        name=str(key.id),
    )
