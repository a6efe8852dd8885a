"""All sessions of this server, in memory."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from service.config import SessionSettings
from service.errors import InvalidInput, Overloaded, SessionBusy, SessionNotFound
from service.registry import Served
from service.sessions.holding import Holding, Why
from service.sessions.session import Session
from service.sessions.turns import TurnLog

TAKE_OVER_S = 5.0
"""How long a stream may take to let go of a session that another stream has resumed, before it is ended."""


@dataclass(slots=True)
class _Entry:
    session: Session
    expires_at: float
    holding: Holding | None = None


class SessionTable:
    """Sessions by id. Each is held by at most one stream and forgotten `ttl_s` after the last one let go of it.

    Who resumes a session that is held takes it over: a client whose connection has died, of which nobody here knows
    yet, can go on at once. Its methods belong on the event loop. A session that is not there and one of another owner
    are answered alike.
    """

    def __init__(self, settings: SessionSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._per_owner: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    def open(self, owner: str, served: Served, ttl_s: float | None = None) -> Session:
        """A new session that nobody holds yet; Overloaded when there is no room."""
        ttl_s = self._valid_ttl(ttl_s)
        log = TurnLog(self._settings)
        return self._add(lambda new_id: Session(new_id, owner, served, ttl_s, log=log), owner)

    def fork(self, session: Session) -> Session:
        """Another session of the same owner that stands where this one stands; Overloaded when there is no room."""
        return self._add(session.fork, session.owner)

    @asynccontextmanager
    async def hold(self, owner: str, session_id: str) -> AsyncIterator[Holding]:
        """Hold a session while inside; its time to live starts again on the way out."""
        entry = await self._free(owner, session_id)
        entry.holding = holding = Holding(entry.session)
        try:
            yield holding
        finally:
            entry.holding = None
            entry.expires_at = self._clock() + entry.session.ttl_s
            holding.is_over.set()

    def close(self, session: Session) -> None:
        """Forget a session and its state."""
        if self._entries.pop(session.id, None):
            self._per_owner[session.owner] -= 1
            if not self._per_owner[session.owner]:
                del self._per_owner[session.owner]

    def expire(self) -> int:
        """Forget the sessions whose time is over; return how many."""
        over = [entry.session for entry in self._entries.values() if self._is_over(entry)]
        for session in over:
            self.close(session)
        return len(over)

    def _add(self, make: Callable[[str], Session], owner: str) -> Session:
        if self._is_full(owner):
            self.expire()
            self._check_room(owner)
        session = make(secrets.token_urlsafe(18))
        self._entries[session.id] = _Entry(session, self._clock() + session.ttl_s)
        self._per_owner[owner] += 1
        return session

    async def _free(self, owner: str, session_id: str) -> _Entry:
        """The entry once nobody holds it."""
        entry = self._find(owner, session_id)
        while entry.holding is not None:
            await _taken_over(entry.holding)
            entry = self._find(owner, session_id)
        return entry

    def _find(self, owner: str, session_id: str) -> _Entry:
        entry = self._entries.get(session_id)
        if entry is None or entry.session.owner != owner or self._is_over(entry):
            raise SessionNotFound(
                "no such session: it was closed, or nobody held it for longer than its time to live; open a new one",
                name=session_id,
            )
        return entry

    def _is_over(self, entry: _Entry) -> bool:
        return entry.holding is None and entry.expires_at <= self._clock()

    def _is_full(self, owner: str) -> bool:
        of_owner = self._per_owner[owner] >= self._settings.max_sessions_per_owner
        return of_owner or len(self._entries) >= self._settings.max_sessions

    def _check_room(self, owner: str) -> None:
        if len(self._entries) >= self._settings.max_sessions:
            raise Overloaded(
                f"all {self._settings.max_sessions} sessions of this server are taken",
                retry_after_s=self._room_in_s(),
            )
        if self._per_owner[owner] >= self._settings.max_sessions_per_owner:
            raise Overloaded(
                f"you have {self._settings.max_sessions_per_owner} sessions, which is the limit; close one first",
                retry_after_s=self._room_in_s(),
            )

    def _room_in_s(self) -> float:
        """Seconds until the next session expires, as far as can be told; 1 to 60."""
        waiting = (entry.expires_at for entry in self._entries.values() if entry.holding is None)
        return min(60.0, max(1.0, min(waiting, default=0.0) - self._clock()))

    def _valid_ttl(self, ttl_s: float | None) -> float:
        if ttl_s is None:
            return self._settings.default_ttl_s
        if not 0 < ttl_s <= self._settings.max_ttl_s:
            raise InvalidInput(
                f"ttl must be more than 0 and at most {self._settings.max_ttl_s:g} seconds, not {ttl_s:g}",
                field="open.ttl",
            )
        return ttl_s


async def _taken_over(holding: Holding) -> None:
    """Wait until a stream has let go; SessionBusy when not even its end helps."""
    holding.part(Why.CLAIMED, "another stream has resumed this session; it goes on there")
    for end in (holding.turn_out, lambda: None):
        try:
            async with asyncio.timeout(TAKE_OVER_S):
                await holding.is_over.wait()
                return
        except TimeoutError:
            end()
    raise SessionBusy("another stream holds this session and does not let go of it; try again")
