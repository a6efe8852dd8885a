"""All sessions of this server, in memory."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice

from service.config import SessionSettings
from service.errors import InvalidInput, Overloaded, SessionBusy, SessionNotFound
from service.registry import Served
from service.sessions.census import Census
from service.sessions.deadlines import Deadlines, bucket_of
from service.sessions.holding import Holding, Why
from service.sessions.ids import affinity_of, new_id
from service.sessions.packing import can_pack
from service.sessions.session import Session
from service.sessions.shelf import Shelf
from service.sessions.turns import TurnLog
from service.sessions.weight import weight_of

TAKE_OVER_S = 5.0
"""How long a stream may take to let go of a session that another stream has resumed, before it is ended."""
WEIGH_EVERY = 8
"""Turns of a held session after which it is weighed again."""
MAX_TRIED = 64
"""Idle sessions that are looked at to find one that can be put out."""
MEMORY = "memory"
"""Why a session has gone that made room for others: it is in the store."""


@dataclass(slots=True, eq=False)
class _Entry:
    session: Session
    expires_at: float
    bucket: int
    """Among the deadlines; never later than `expires_at`, and earlier where it has lived on."""
    weight: int = 0
    weighed_at_turn: int = 0
    holding: Holding | None = None


class SessionTable:
    """Sessions by id. Each is held by at most one stream and forgotten `ttl_s` after the last one let go of it.

        held by a stream ⇄ fresh ─▶ on the shelf, packed (compact_after_s) ─▶ forgotten: its time is over, or to make
          entries ────────────┘      └──▶ back in the entries when it is taken      room, being whole in the store

    Who resumes a session that is held takes it over: a client whose connection has died, of which nobody here knows
    yet, can go on at once. Its methods belong on the event loop, and none but `evict` looks at all sessions. A session
    that is not there and one of another owner are answered alike.
    """

    def __init__(
        self,
        settings: SessionSettings,
        clock: Callable[[], float] = time.monotonic,
        on_gone: Callable[[str], None] = lambda why: None,
    ) -> None:
        """`on_gone` is told why a session has been put out that its owner has not closed."""
        self.settings = settings
        self._clock = clock
        self._on_gone = on_gone
        self._entries: dict[str, _Entry] = {}
        self._fresh: dict[str, _Entry] = {}
        """Of the entries, those that nobody holds; let go of longest ago first."""
        self._held: dict[str, Holding] = {}
        self._census = Census()
        self._shelf = Shelf(settings, self._census.model)
        self._deadlines = Deadlines()
        self._held_bytes = 0
        self._fresh_bytes = 0

    def __len__(self) -> int:
        return len(self._entries) + len(self._shelf)

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._entries or session_id in self._shelf

    @property
    def num_held(self) -> int:
        return len(self._entries) - len(self._fresh)

    @property
    def held_bytes(self) -> int:
        """Memory of sessions that streams hold, as they were weighed last."""
        return self._held_bytes

    @property
    def idle_bytes(self) -> int:
        """Memory of the others."""
        return self._fresh_bytes + self._shelf.num_bytes

    @property
    def num_stored(self) -> int:
        """How many sessions are in the store as well; looks at those that are not packed."""
        return self._shelf.num_stored + sum(entry.session.epoch > 0 for entry in self._entries.values())

    def unpacked(self) -> Iterator[Session]:
        """Sessions that something may still have to be written of."""
        return (entry.session for entry in self._entries.values())

    def find(self, owner: str, session_id: str) -> Session | None:
        """The owner's session, to be looked at; None where it is not here."""
        entry = self._entries.get(session_id)
        if entry is not None:
            return entry.session if entry.session.owner == owner and not self._is_over(entry) else None
        packed = self._shelf.look(session_id)
        is_there = packed and packed[0] == owner and packed[2] > self._clock()
        return self._shelf.copy(session_id) if is_there else None

    def not_stored(self, owner: str) -> Iterator[str]:
        """Ids of the owner's sessions that may be in this memory only, newest first."""
        return (each for each in self._census.of_owner(owner) if not self._shelf.is_stored(each))

    def is_held(self, session_id: str) -> bool:
        return session_id in self._held

    def seconds_left(self, session: Session) -> float:
        """How long it would still be kept if nobody held it from now on."""
        entry, packed = self._entries.get(session.id), self._shelf.look(session.id)
        if packed:
            return packed[2] - self._clock()
        return session.ttl_s if entry is None or entry.holding else entry.expires_at - self._clock()

    def held(self) -> list[Holding]:
        """What streams hold now."""
        return list(self._held.values())

    def silent(self) -> list[Holding]:
        """Of these, the ones whose clients have not said a word for longer than they may."""
        since = self._clock() - self.settings.max_silence_s
        return [holding for holding in self._held.values() if holding.silent_since <= since]

    def open(self, owner: str, served: Served, ttl_s: float | None = None, affinity: str = "") -> Session:
        """A new session that nobody holds yet; Overloaded when there is no room."""
        ttl_s = self._valid_ttl(ttl_s)
        log = TurnLog(self.settings)
        session = Session(new_id(affinity), owner, served, ttl_s, log=log)
        self.put(session, is_new=True)
        return session

    def fork(self, session: Session) -> Session:
        """Another session of the same owner that stands where this one stands; Overloaded when there is no room."""
        fork = session.fork(new_id(affinity_of(session.id)))
        self.put(fork, is_new=True)
        return fork

    def put(self, session: Session, *, is_new: bool = False) -> None:
        """A session that nobody holds yet, instead of what is here under its id; Overloaded when there is no room."""
        self._forget(session.id)
        weight, expires_at = weight_of(session), self._clock() + session.ttl_s
        self._find_room(session.owner, weight, is_new)
        entry = _Entry(session, expires_at, self._deadlines.add(session.id, expires_at), weight)
        self._entries[session.id] = self._fresh[session.id] = entry
        self._fresh_bytes += weight
        self._census.add(session.id, session.owner, session.served)

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
        entry = self._found(owner, session_id)
        while entry.holding is not None:
            await _taken_over(entry.holding)
            entry = self._found(owner, session_id)
        holding = entry.holding = self._held[session_id] = Holding(entry.session, self._clock)
        del self._fresh[session_id]
        self._fresh_bytes -= entry.weight
        self._held_bytes += entry.weight
        return holding

    def put_back(self, holding: Holding) -> None:
        """Hold a session no longer; what has been closed meanwhile stays closed."""
        session = holding.session
        entry = self._entries.get(session.id)
        if entry is not None and entry.holding is holding:
            self._held_bytes -= entry.weight
            entry.holding, entry.weight = None, weight_of(session)
            entry.expires_at = self._clock() + session.ttl_s
            self._fresh_bytes += entry.weight
            self._fresh[session.id] = entry
            self._make_room(0)
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

    def moved_on(self, session: Session) -> None:
        """A held session has answered: now and then it is weighed, and others make room for it."""
        entry, turn = self._entries.get(session.id), session.log.next_turn
        if (
            entry
            and entry.session is session
            and entry.holding
            and turn - entry.weighed_at_turn >= WEIGH_EVERY
        ):
            weight = weight_of(session)
            self._held_bytes += weight - entry.weight
            entry.weight, entry.weighed_at_turn = weight, turn
            self._make_room(0)

    def lose(self, session: Session, why: Why, message: str) -> None:
        """Forget a session that is no longer this server's, and tell the stream that holds it."""
        if session.id in self._held and self._held[session.id].session is session:
            self._held[session.id].part(why, message)
        entry = self._entries.get(session.id)
        if session.id in self._shelf or (entry is not None and entry.session is session):
            self._forget(session.id)
            if why is not Why.CLOSED:
                self._on_gone(why.value)

    def close(self, session: Session) -> None:
        """Forget a session and its state."""
        self._forget(session.id)

    def expire(self, limit: int = 1000) -> int:
        """Forget at most `limit` sessions whose time is over; return how many. To be called until there are none."""
        now, num = self._clock(), 0
        for session_id in self._deadlines.due(now, limit):
            entry = self._entries.get(session_id)
            if entry is None or self._is_over(entry):
                self._forget(session_id)
                self._on_gone(Why.EXPIRED.value)
                num += 1
            else:
                lives_until = now + entry.session.ttl_s if entry.holding else entry.expires_at
                entry.bucket = self._deadlines.add(session_id, lives_until)
        return num

    def compact(self, limit: int = 8) -> int:
        """Pack at most `limit` sessions that nobody has held for a while; return how many were."""
        before, num = self._clock() - self.settings.compact_after_s, 0
        for session_id, entry in list(islice(self._fresh.items(), limit)):
            if entry.expires_at - entry.session.ttl_s > before:
                break
            num += self._pack(session_id, entry)
        return num

    def count(self, served: Served) -> int:
        """How many sessions are of a model version."""
        return self._census.num_of_model(served)

    def of_model(self, served: Served) -> list[str]:
        """Ids of all sessions of a model version; looks at every session."""
        unpacked = [each for each, entry in self._entries.items() if entry.session.served is served]
        return unpacked + list(self._shelf.of_model(served))

    def evict(self, session_id: str, why: Why, message: str) -> None:
        """Forget a session, and tell the stream that holds it."""
        if session_id in self._held:
            self._held[session_id].part(why, message)
        if session_id in self:
            self._forget(session_id)
            self._on_gone(why.value)

    def _forget(self, session_id: str) -> None:
        if entry := self._entries.pop(session_id, None):
            self._deadlines.remove(session_id, entry.bucket)
            self._census.remove(session_id, entry.session.owner, entry.session.served)
            if self._fresh.pop(session_id, None):
                self._fresh_bytes -= entry.weight
            else:
                self._held_bytes -= entry.weight
        elif packed := self._shelf.look(session_id):
            owner, served, expires_at = packed
            self._deadlines.remove(session_id, bucket_of(expires_at))
            self._shelf.drop(session_id)
            self._census.remove(session_id, owner, served)

    def _pack(self, session_id: str, entry: _Entry) -> bool:
        """Move an entry to the shelf; what cannot be packed now goes to the end of the row."""
        del self._fresh[session_id]
        try:
            if not can_pack(entry.session):
                raise ValueError
            self._shelf.put(entry.session, entry.expires_at)
        except ValueError:
            self._fresh[session_id] = entry
            return False
        del self._entries[session_id]
        self._fresh_bytes -= entry.weight
        self._deadlines.remove(session_id, entry.bucket)
        self._deadlines.add(session_id, entry.expires_at)
        return True

    def _unpacked(self, owner: str, session_id: str) -> _Entry | None:
        """The owner's session, taken from the shelf."""
        packed = self._shelf.look(session_id)
        if packed is None or packed[0] != owner:
            return None
        session, expires_at = self._shelf.copy(session_id), packed[2]
        self._shelf.drop(session_id)
        entry = _Entry(session, expires_at, bucket_of(expires_at), weight_of(session))
        self._entries[session_id] = self._fresh[session_id] = entry
        self._fresh_bytes += entry.weight
        return entry

    def _found(self, owner: str, session_id: str) -> _Entry:
        entry = self._entries.get(session_id) or self._unpacked(owner, session_id)
        if entry is None or entry.session.owner != owner or self._is_over(entry):
            raise SessionNotFound(
                "no such session: it was closed, or nobody held it for longer than its time to live; open a new one",
                name=session_id,
            )
        return entry

    def _is_over(self, entry: _Entry) -> bool:
        return entry.holding is None and entry.expires_at <= self._clock()

    def _find_room(self, owner: str, weight: int, is_new: bool) -> None:
        if is_new and self._census.num_of_owner(owner) >= self.settings.max_sessions_per_owner:
            self.expire()
        self._make_room(weight, 1)
        self._check_room(owner, weight, is_new)

    def _make_room(self, weight: int, num_more: int = 0) -> None:
        """Put out what is whole in the store, let go of longest ago first, until there is room or no more of it."""
        while self._is_full(weight, num_more) and (self.expire() or self._put_out_one()):
            pass

    def _is_full(self, weight: int, num_more: int) -> bool:
        num_bytes = self._held_bytes + self.idle_bytes + weight
        return len(self) + num_more > self.settings.max_sessions or num_bytes > self.settings.max_memory_bytes

    def _put_out_one(self) -> bool:
        session_id = self._shelf.longest_stored() or self._fresh_and_stored()
        if session_id:
            self._forget(session_id)
            self._on_gone(MEMORY)
        return session_id is not None

    def _fresh_and_stored(self) -> str | None:
        """One of the first that is whole in the store; the others are packed soon, or go to the end of the row."""
        first = islice(self._fresh.items(), MAX_TRIED)
        return next((session_id for session_id, entry in first if entry.session.is_stored), None)

    def _check_room(self, owner: str, weight: int, is_new: bool) -> None:
        settings = self.settings
        if len(self) >= settings.max_sessions:
            message = f"all {settings.max_sessions} sessions of this server are taken"
        elif self._is_full(weight, 1):
            message = f"the memory for sessions is full: {settings.max_memory_bytes:,} bytes"
        elif is_new and self._census.num_of_owner(owner) >= settings.max_sessions_per_owner:
            message = (
                f"you have {settings.max_sessions_per_owner} sessions, which is the limit; close one first"
            )
        else:
            return
        raise Overloaded(message, retry_after_s=self._room_in_s())

    def _room_in_s(self) -> float:
        """Seconds until the next session expires, as far as can be told; 1 to 60."""
        first = self._deadlines.first() if len(self) > self.num_held else None
        return min(60.0, max(1.0, (first or 0.0) - self._clock()))

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
