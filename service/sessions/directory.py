"""What an owner's sessions are, wherever they lie: to list, to describe, to close."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice

from service.errors import InvalidInput, SessionNotFound
from service.sessions.durability import Durability, Mode
from service.sessions.holding import Why
from service.sessions.keeper import Keeper
from service.sessions.record import state_bytes
from service.sessions.session import Session
from service.sessions.sessions import Sessions
from service.sessions.stores.base import Stored
from service.sessions.table import SessionTable

UNPACKED_AT_ONCE = 10
"""Sessions that are unpacked to be listed, before others' requests have their turn."""


class Tier(Enum):
    """Where a session's state lies."""

    ACTIVE = "active"
    IDLE = "idle"
    COLD = "cold"


@dataclass(frozen=True, slots=True)
class Description:
    """A session as its owner sees it."""

    session_id: str
    model: str
    version: str
    tier: Tier
    input_position: int
    output_position: int
    next_turn: int
    durable_turn: int
    durability: Durability
    expires_at: float
    """Wall clock, in seconds; for one that a stream holds: if the stream ended now."""
    state_bytes: int


class Directory:
    """Lists, describes and closes sessions without holding them; another owner's are not there."""

    def __init__(
        self,
        table: SessionTable,
        keeper: Keeper | None,
        sessions: Sessions,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._table = table
        self._keeper = keeper
        self._sessions = sessions
        self._clock = clock

    async def list(self, owner: str, limit: int, token: str = "") -> tuple[list[Description], str]:
        """A page and where the next one begins: first what is in this memory only, then what is in the store."""
        if not token.startswith("s"):
            start = _offset(token)
            own = list(islice(self._not_stored(owner), start, start + limit + 1))
            page = [description async for description in self._described(owner, own[:limit])]
            if len(own) > limit:
                return page, f"m{start + limit}"
            if page or self._keeper is None:
                return page, "s" if self._keeper else ""
        if self._keeper is None:
            return [], ""
        found = await self._keeper.store.list(owner, limit, token[1:] if token.startswith("s") else "")
        stored = [self._of_stored(owner, stored) for stored in found.sessions]
        return stored, f"s{found.after}" if found.after else ""

    async def describe(self, owner: str, session_id: str) -> Description:
        session = self._table.find(owner, session_id)
        if session is not None:
            return self._of_session(session)
        if self._keeper is None:
            raise SessionNotFound("no such session", name=session_id)
        return self._of_stored(owner, await self._keeper.store.describe(session_id, owner))

    async def close(self, owner: str, session_id: str) -> None:
        """End a session wherever it is; a stream that holds it here is told at once."""
        session = self._table.find(owner, session_id)
        if session is not None:
            self._table.lose(session, Why.CLOSED, "the session was closed")
            await self._sessions.close(session)
        elif self._keeper is not None:
            await self._keeper.store.delete(session_id, owner)
            self._sessions.tickets.closed(session_id)
        else:
            raise SessionNotFound("no such session", name=session_id)

    def _not_stored(self, owner: str) -> Iterator[str]:
        """Ids of the owner's sessions that are in this memory only."""
        unpacked = {session.id: session for session in self._table.unpacked() if session.owner == owner}
        for session_id in self._table.not_stored(owner):
            if session_id not in unpacked or not self._is_stored(unpacked[session_id]):
                yield session_id

    async def _described(self, owner: str, session_ids: Sequence[str]) -> AsyncIterator[Description]:
        for number, session_id in enumerate(session_ids):
            session = self._table.find(owner, session_id)
            if session is not None:
                yield self._of_session(session)
            if number % UNPACKED_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _is_stored(self, session: Session) -> bool:
        return self._keeper is not None and session.epoch > 0 and session.durability.mode is not Mode.NONE

    def _of_session(self, session: Session) -> Description:
        manifest, standing = session.served.manifest, session.standing
        return Description(
            session_id=session.id,
            model=manifest.name,
            version=manifest.version,
            tier=Tier.ACTIVE if self._table.is_held(session.id) else Tier.IDLE,
            input_position=standing.input_position,
            output_position=standing.output_position,
            next_turn=session.log.next_turn,
            durable_turn=session.durable_turn,
            durability=session.durability,
            expires_at=self._clock() + self._table.seconds_left(session),
            state_bytes=state_bytes(session),
        )

    def _of_stored(self, owner: str, stored: Stored) -> Description:
        session = self._table.find(owner, stored.session_id)
        if session is not None:
            return self._of_session(session)
        facts = json.loads(stored.summary)
        (model, version), (mode, num_steps) = facts["model"], facts["durability"]
        return Description(
            session_id=stored.session_id,
            model=model,
            version=version,
            tier=Tier.COLD,
            input_position=facts["at"][0],
            output_position=facts["at"][1],
            next_turn=facts["next_turn"],
            durable_turn=facts["next_turn"],
            durability=Durability(Mode(mode), num_steps),
            expires_at=stored.expires_at,
            state_bytes=stored.size_bytes,
        )


def _offset(token: str) -> int:
    if token and not (token.startswith("m") and token[1:].isdecimal() and len(token) < 12):
        raise InvalidInput("page_token is not one that an answer gave", field="page_token")
    return int(token[1:] or 0)
