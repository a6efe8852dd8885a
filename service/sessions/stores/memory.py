"""Snapshots in this process: for tests, and to move sessions between servers of one process."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from service.errors import Fenced
from service.sessions.stores.base import REMEMBER_S, Claimed, Health, Page, Stored, too_many
from service.sessions.stores.paging import from_cursor, not_found, to_cursor


@dataclass(slots=True)
class _Row:
    owner: str
    epoch: int
    revision: int
    data: bytes | None
    summary: str
    created_ms: int
    ttl_s: float
    expires_at: float
    deleted: bool = False
    claim_id: str = ""


class MemoryStore:
    """Keeps everything in dictionaries; no method lets go of the event loop half way, so each is atomic."""

    kind = "memory"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._rows: dict[str, _Row] = {}

    async def create(
        self,
        session_id: str,
        owner: str,
        ttl_s: float,
        *,
        epoch: int = 1,
        revision: int = 0,
        data: bytes | None = None,
        summary: str = "",
        max_of_owner: int | None = None,
    ) -> int:
        now = self._clock()
        row = self._rows.get(session_id)
        if row and row.expires_at > now:
            raise self._taken(row, session_id, owner)
        if max_of_owner is not None and self._num_of(owner, now) >= max_of_owner:
            raise too_many(max_of_owner)
        made = _Row(owner, epoch, revision, data, summary, int(now * 1000), ttl_s, now + ttl_s)
        self._rows[session_id] = made
        return epoch

    async def claim(self, session_id: str, owner: str, claim_id: str = "") -> Claimed:
        row = self._find(session_id, owner)
        if not claim_id or claim_id != row.claim_id:
            row.epoch, row.claim_id = row.epoch + 1, claim_id
        row.expires_at = self._clock() + row.ttl_s
        return Claimed(row.epoch, row.revision, row.data)

    async def save(
        self,
        session_id: str,
        owner: str,
        epoch: int,
        revision: int,
        data: bytes,
        ttl_s: float,
        *,
        summary: str = "",
    ) -> int:
        row = self._find(session_id, owner, epoch)
        if revision >= row.revision:
            row.revision, row.data, row.summary = revision, data, summary
        row.ttl_s, row.expires_at = ttl_s, self._clock() + ttl_s
        return row.revision

    async def touch(self, session_id: str, owner: str, epoch: int, ttl_s: float) -> None:
        row = self._find(session_id, owner, epoch)
        row.ttl_s, row.expires_at = ttl_s, self._clock() + ttl_s

    async def delete(self, session_id: str, owner: str, *, remember_s: float = REMEMBER_S) -> None:
        row = self._find(session_id, owner)
        row.deleted, row.data, row.summary = True, None, ""
        row.expires_at = self._clock() + remember_s

    async def describe(self, session_id: str, owner: str) -> Stored:
        return _stored(session_id, self._find(session_id, owner))

    async def list(self, owner: str, limit: int, after: str = "") -> Page:
        before = from_cursor(after) if after else None
        now = self._clock()
        places = sorted(
            (
                (row.created_ms, session_id)
                for session_id, row in self._rows.items()
                if row.owner == owner and not row.deleted and row.expires_at > now
            ),
            reverse=True,
        )
        wanted = [place for place in places if before is None or place < before]
        found = tuple(_stored(session_id, self._rows[session_id]) for _, session_id in wanted[:limit])
        return Page(found, to_cursor(*wanted[limit - 1]) if len(wanted) > limit else "")

    async def count(self) -> int:
        return sum(not row.deleted for row in self._rows.values())

    async def sweep(self) -> int:
        now = self._clock()
        over = [session_id for session_id, row in self._rows.items() if row.expires_at <= now]
        return sum(not self._rows.pop(session_id).deleted for session_id in over)

    async def health(self) -> Health:
        return Health(True)

    async def close(self) -> None:
        pass

    def _num_of(self, owner: str, now: float) -> int:
        rows = self._rows.values()
        return sum(row.owner == owner and not row.deleted and row.expires_at > now for row in rows)

    def _find(self, session_id: str, owner: str, epoch: int | None = None) -> _Row:
        row = self._rows.get(session_id)
        if row is None or row.owner != owner or row.deleted or row.expires_at <= self._clock():
            raise not_found(session_id)
        if epoch is not None and row.epoch != epoch:
            raise Fenced(f"epoch {epoch} is over: another server has claimed this session")
        return row

    def _taken(self, row: _Row, session_id: str, owner: str) -> Exception:
        if row.owner != owner or row.deleted:
            return not_found(session_id)
        return Fenced("this session is in the store already; claim it")


def _stored(session_id: str, row: _Row) -> Stored:
    return Stored(
        session_id=session_id,
        epoch=row.epoch,
        revision=row.revision,
        size_bytes=len(row.data or b""),
        created_at=row.created_ms / 1000,
        expires_at=row.expires_at,
        summary=row.summary,
        claim_id=row.claim_id,
    )
