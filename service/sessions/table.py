"""All sessions of this server, in memory."""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from service.config import SessionSettings
from service.errors import InvalidInput, Overloaded, SessionBusy, SessionNotFound
from service.registry import Served
from service.sessions.session import Session


@dataclass(slots=True)
class _Entry:
    session: Session
    held: bool
    expires_at: float


class SessionTable:
    """Sessions by id. Each is held by at most one stream and forgotten `ttl_s` after the last one let go of it.

    Its methods belong on the event loop. A session that is not there and one of another owner are answered alike.
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
        if self._is_full(owner):
            self.expire()
            self._check_room(owner)
        session = Session(secrets.token_urlsafe(18), owner, served, self._valid_ttl(ttl_s))
        self._entries[session.id] = _Entry(session, False, self._clock() + session.ttl_s)
        self._per_owner[owner] += 1
        return session

    @contextmanager
    def hold(self, owner: str, session_id: str) -> Iterator[Session]:
        """Hold a session while inside; its time to live starts again on the way out."""
        entry = self._find(owner, session_id)
        if entry.held:
            raise SessionBusy("another stream holds this session; it is free when that stream has ended")
        entry.held = True
        try:
            yield entry.session
        finally:
            entry.held = False
            entry.expires_at = self._clock() + entry.session.ttl_s

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

    def _find(self, owner: str, session_id: str) -> _Entry:
        entry = self._entries.get(session_id)
        if entry is None or entry.session.owner != owner or self._is_over(entry):
            raise SessionNotFound(
                "no such session: it was closed, or nobody held it for longer than its time to live; open a new one",
                name=session_id,
            )
        return entry

    def _is_over(self, entry: _Entry) -> bool:
        return not entry.held and entry.expires_at <= self._clock()

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
        waiting = (entry.expires_at for entry in self._entries.values() if not entry.held)
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
