"""All sessions of this server, in memory."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from service.config import SessionSettings
from service.errors import InvalidInput, Overloaded, SessionBusy, SessionNotFound
from service.registry import Served
from service.sessions.holding import Holding, Why
from service.sessions.ids import affinity_of, new_id
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
        self.settings = settings
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        """Those that were let go of longest ago come first."""
        self._held: dict[str, Holding] = {}
        self._per_owner: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._entries

    def __iter__(self) -> Iterator[Session]:
        return (entry.session for entry in self._entries.values())

    def get(self, session_id: str) -> Session | None:
        """What is in memory under an id, whoever asks."""
        entry = self._entries.get(session_id)
        return entry.session if entry else None

    def find(self, owner: str, session_id: str) -> Session | None:
        """The owner's session; None where it is not here."""
        try:
            return self._find(owner, session_id).session
        except SessionNotFound:
            return None

    def is_held(self, session_id: str) -> bool:
        return session_id in self._held

    def seconds_left(self, session: Session) -> float:
        """How long it would still be kept if nobody held it from now on."""
        entry = self._entries.get(session.id)
        return session.ttl_s if entry is None or entry.holding else entry.expires_at - self._clock()

    def held(self) -> list[Holding]:
        """What streams hold now."""
        return list(self._held.values())

    def open(self, owner: str, served: Served, ttl_s: float | None = None, affinity: str = "") -> Session:
        """A new session that nobody holds yet; Overloaded when there is no room."""
        ttl_s = self._valid_ttl(ttl_s)
        log = TurnLog(self.settings)
        session = Session(new_id(affinity), owner, served, ttl_s, log=log)
        self.put(session)
        return session

    def fork(self, session: Session) -> Session:
        """Another session of the same owner that stands where this one stands; Overloaded when there is no room."""
        fork = session.fork(new_id(affinity_of(session.id)))
        self.put(fork)
        return fork

    def put(self, session: Session) -> None:
        """A session that nobody holds yet, instead of what is here under its id; Overloaded when there is no room."""
        self._forget(session.id)
        if self._is_full(session.owner):
            self.expire()
            self._put_out_idle()
            self._check_room(session.owner)
        self._entries[session.id] = _Entry(session, self._clock() + session.ttl_s)
        self._per_owner[session.owner] += 1

    @asynccontextmanager
    async def hold(self, owner: str, session_id: str) -> AsyncIterator[Holding]:
        """Hold a session while inside; its time to live starts again on the way out."""
        holding = await self.take(owner, session_id)
        try:
            yield holding
        finally:
            self.put_back(holding)

    async def take(self, owner: str, session_id: str) -> Holding:
        """Hold a session until it is put back, taking it over where a stream holds it."""
        entry = self._find(owner, session_id)
        while entry.holding is not None:
            await _taken_over(entry.holding)
            entry = self._find(owner, session_id)
        holding = entry.holding = self._held[session_id] = Holding(entry.session)
        return holding

    def put_back(self, holding: Holding) -> None:
        """Hold a session no longer; what has been closed meanwhile stays closed."""
        session = holding.session
        entry = self._entries.get(session.id)
        if entry is not None and entry.holding is holding:
            del self._entries[session.id]
            self._entries[session.id] = _Entry(session, self._clock() + session.ttl_s)
        if self._held.get(session.id) is holding:
            del self._held[session.id]
        holding.is_over.set()

    async def free(self, owner: str, session_id: str) -> Session | None:
        """The session once nobody holds it; None where it is not here."""
        try:
            holding = await self.take(owner, session_id)
        except SessionNotFound:
            return None
        self.put_back(holding)
        return holding.session

    def lose(self, session: Session, why: Why, message: str) -> None:
        """Forget a session that is no longer this server's, and tell the stream that holds it."""
        if session.id in self._held and self._held[session.id].session is session:
            self._held[session.id].part(why, message)
        entry = self._entries.get(session.id)
        if entry is not None and entry.session is session:
            self._forget(session.id)

    def close(self, session: Session) -> None:
        """Forget a session and its state."""
        self._forget(session.id)

    def expire(self) -> int:
        """Forget the sessions whose time is over; return how many."""
        over = [entry.session for entry in self._entries.values() if self._is_over(entry)]
        for session in over:
            self.close(session)
        return len(over)

    def _forget(self, session_id: str) -> None:
        entry = self._entries.pop(session_id, None)
        if entry is not None:
            owner = entry.session.owner
            self._per_owner[owner] -= 1
            if not self._per_owner[owner]:
                del self._per_owner[owner]

    def _put_out_idle(self) -> None:
        """Where the memory is full: forget the session that was let go of longest ago and is whole in the store."""
        if len(self._entries) >= self.settings.max_sessions:
            for session_id, entry in self._entries.items():
                if entry.holding is None and entry.session.is_stored:
                    self._forget(session_id)
                    return

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
        of_owner = self._per_owner[owner] >= self.settings.max_sessions_per_owner
        return of_owner or len(self._entries) >= self.settings.max_sessions

    def _check_room(self, owner: str) -> None:
        if len(self._entries) >= self.settings.max_sessions:
            raise Overloaded(
                f"all {self.settings.max_sessions} sessions of this server are taken",
                retry_after_s=self._room_in_s(),
            )
        if self._per_owner[owner] >= self.settings.max_sessions_per_owner:
            raise Overloaded(
                f"you have {self.settings.max_sessions_per_owner} sessions, which is the limit; close one first",
                retry_after_s=self._room_in_s(),
            )

    def _room_in_s(self) -> float:
        """Seconds until the next session expires, as far as can be told; 1 to 60."""
        waiting = (entry.expires_at for entry in self._entries.values() if entry.holding is None)
        return min(60.0, max(1.0, min(waiting, default=0.0) - self._clock()))

    def _valid_ttl(self, ttl_s: float | None) -> float:
        if ttl_s is None:
            return self.settings.default_ttl_s
        if not 0 < ttl_s <= self.settings.max_ttl_s:
            raise InvalidInput(
                f"ttl must be more than 0 and at most {self.settings.max_ttl_s:g} seconds, not {ttl_s:g}",
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
