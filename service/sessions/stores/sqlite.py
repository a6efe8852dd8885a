"""Snapshots in a SQLite file: survives a restart, with nothing to install; for the processes of one machine.

A commit is in the file's log before it is answered, which a crash of the process cannot undo (`kill -9` included). With
synchronous=NORMAL the log is not forced to the disk at each commit, so a crash of the machine may lose the last ones.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from service.errors import Fenced, StoreAway
from service.sessions.stores.base import REMEMBER_S, Claimed, Health, Page, Stored, too_many
from service.sessions.stores.paging import from_cursor, not_found, to_cursor
from service.sessions.stores.shield import Shield
from service.sessions.stores.sqlite_file import SqliteFile, transaction
from service.sessions.stores.steady import SteadyClock

T = TypeVar("T")

SCHEMA_VERSION = 2
SCHEMA = """
CREATE TABLE sessions (
    session_id TEXT PRIMARY KEY,
    owner      TEXT NOT NULL,
    epoch      INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    ttl_s      REAL NOT NULL,
    expires_at REAL NOT NULL,
    deleted    INTEGER NOT NULL DEFAULT 0,
    summary    TEXT NOT NULL,
    data       BLOB,
    claim_id   TEXT NOT NULL DEFAULT ''
);
CREATE INDEX by_owner ON sessions (owner, created_ms, session_id) WHERE NOT deleted;
CREATE INDEX by_end ON sessions (expires_at);
CREATE TABLE owners (
    owner TEXT PRIMARY KEY,
    num   INTEGER NOT NULL
) WITHOUT ROWID;
"""
FROM_VERSION_1 = "ALTER TABLE sessions ADD COLUMN claim_id TEXT NOT NULL DEFAULT ''"
_ONE_LESS = """
    UPDATE owners SET num = num - 1 WHERE owner = OLD.owner;
    DELETE FROM owners WHERE owner = OLD.owner AND num = 0;
"""
TRIGGERS = (
    """CREATE TRIGGER made AFTER INSERT ON sessions BEGIN
    INSERT INTO owners VALUES (NEW.owner, 1) ON CONFLICT (owner) DO UPDATE SET num = num + 1;
END""",
    f"CREATE TRIGGER gone AFTER DELETE ON sessions WHEN NOT OLD.deleted BEGIN {_ONE_LESS} END",
    f"""CREATE TRIGGER closed AFTER UPDATE OF deleted ON sessions WHEN NEW.deleted AND NOT OLD.deleted BEGIN {_ONE_LESS}
END""",
)
"""They count each owner's sessions: those that have expired too, until they are swept."""

SWEPT_AT_ONCE = 500
"""Sessions removed in one transaction."""

_STORED = (
    "session_id, epoch, revision, length(coalesce(data, x'')), created_ms, expires_at, summary, claim_id"
)
_MINE = "session_id = ? AND owner = ? AND NOT deleted AND expires_at > ?"


class SqliteStore:
    """Each operation is all or nothing; other processes may use the same file."""

    kind = "sqlite"

    def __init__(self, path: Path, timeout_s: float = 1.0, clock: Callable[[], float] | None = None) -> None:
        """Without a clock of one's own, time goes by the machine's steady clock."""
        self._steady = SteadyClock()
        self._clock = clock or self._steady
        self._file = SqliteFile(path, timeout_s, lambda db: _build(db, self._steady))
        self._shield = Shield(self.kind, 2 * timeout_s)  # a file that is locked says so itself, and sooner

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
        def work(db: sqlite3.Connection, now: float) -> bool:
            row = db.execute(
                "SELECT owner, deleted FROM sessions WHERE session_id = ? AND expires_at > ?",
                (session_id, now),
            ).fetchone()
            if row == (owner, 0):
                raise Fenced("this session is in the store already; claim it")
            if row:
                raise not_found(session_id)
            if max_of_owner is not None and not _has_room(db, owner, max_of_owner, now):
                return False
            db.execute("DELETE FROM sessions WHERE session_id = ?", (session_id,))  # one that has expired
            db.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, '')",
                (session_id, owner, epoch, revision, int(now * 1000), ttl_s, now + ttl_s, summary, data),
            )
            return True

        if not await self._write(work):
            raise too_many(max_of_owner or 0)
        return epoch

    async def claim(self, session_id: str, owner: str, claim_id: str = "") -> Claimed:
        def work(db: sqlite3.Connection, now: float) -> Claimed:
            row = db.execute(
                "UPDATE sessions SET epoch = epoch + (claim_id != ? OR ? = ''), claim_id = ?, "
                f"expires_at = ? + ttl_s WHERE {_MINE} RETURNING epoch, revision, data",
                (claim_id, claim_id, claim_id, now, session_id, owner, now),
            ).fetchone()
            if row is None:
                raise not_found(session_id)
            return Claimed(*row)

        return await self._write(work)

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
        def work(db: sqlite3.Connection, now: float) -> int:
            written = db.execute(
                "UPDATE sessions SET revision = ?, data = ?, summary = ?, ttl_s = ?, expires_at = ? "
                f"WHERE {_MINE} AND epoch = ? AND revision <= ?",
                (revision, data, summary, ttl_s, now + ttl_s, session_id, owner, now, epoch, revision),
            )
            return revision if written.rowcount else _touch(db, session_id, owner, epoch, ttl_s, now)

        return await self._write(work)

    async def touch(self, session_id: str, owner: str, epoch: int, ttl_s: float) -> None:
        await self._write(lambda db, now: _touch(db, session_id, owner, epoch, ttl_s, now))

    async def delete(self, session_id: str, owner: str, *, remember_s: float = REMEMBER_S) -> None:
        def work(db: sqlite3.Connection, now: float) -> None:
            changed = db.execute(
                f"UPDATE sessions SET deleted = 1, data = NULL, summary = '', expires_at = ? WHERE {_MINE}",
                (now + remember_s, session_id, owner, now),
            )
            if not changed.rowcount:
                raise not_found(session_id)

        await self._write(work)

    async def describe(self, session_id: str, owner: str) -> Stored:
        def work(db: sqlite3.Connection, now: float) -> Stored:
            row = db.execute(
                f"SELECT {_STORED} FROM sessions WHERE {_MINE}", (session_id, owner, now)
            ).fetchone()
            if row is None:
                raise not_found(session_id)
            return _stored(*row)

        return await self._read(work)

    async def list(self, owner: str, limit: int, after: str = "") -> Page:
        before = from_cursor(after) if after else (2**62, "")

        def work(db: sqlite3.Connection, now: float) -> Page:
            rows = db.execute(
                f"SELECT {_STORED} FROM sessions WHERE owner = ? AND NOT deleted AND expires_at > ? "
                "AND (created_ms, session_id) < (?, ?) ORDER BY created_ms DESC, session_id DESC LIMIT ?",
                (owner, now, *before, limit + 1),
            ).fetchall()
            last = to_cursor(rows[limit - 1][4], rows[limit - 1][0]) if len(rows) > limit else ""
            return Page(tuple(_stored(*row) for row in rows[:limit]), last)

        return await self._read(work)

    async def count(self) -> int:
        return await self._read(
            lambda db, now: int(db.execute("SELECT coalesce(sum(num), 0) FROM owners").fetchone()[0])
        )

    async def sweep(self) -> int:
        """In pieces, between which others may write."""
        total = 0
        while over := await self._write(_sweep_some):
            total += sum(not deleted for deleted in over)
        return total

    async def health(self) -> Health:
        try:
            await self._write(lambda db, now: None)
        except StoreAway as error:
            return Health(False, str(error))
        return Health(True)

    async def close(self) -> None:
        await self._shield.settle()
        with suppress(StoreAway):  # it is stuck
            await self._shield.run(self._file.close())

    async def _read(self, work: Callable[[sqlite3.Connection, float], T]) -> T:
        return await self._shield.run(self._file.run(lambda db: work(db, self._clock()), writes=False))

    async def _write(self, work: Callable[[sqlite3.Connection, float], T]) -> T:
        return await self._shield.run(self._file.run(lambda db: work(db, self._clock())))


def _build(db: sqlite3.Connection, clock: SteadyClock) -> None:
    """Make the tables in a new file, and learn what time it is there; several processes may try at once."""
    with transaction(db):
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"a newer seqserve made it (schema {version}): upgrade this one")
        if version == 1:
            db.execute(FROM_VERSION_1)
        if version == 0:
            for statement in (*filter(str.strip, SCHEMA.split(";")), *TRIGGERS):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        clock.anchor(db)


def _sweep_some(db: sqlite3.Connection, now: float) -> list[int]:
    """Remove some of what has expired; returns of each whether it was remembered only as deleted."""
    rows = db.execute(
        "DELETE FROM sessions WHERE session_id IN (SELECT session_id FROM sessions WHERE expires_at <= ? LIMIT ?) "
        "RETURNING deleted",
        (now, SWEPT_AT_ONCE),
    )
    return [deleted for (deleted,) in rows.fetchall()]


def _has_room(db: sqlite3.Connection, owner: str, max_of_owner: int, now: float) -> bool:
    """Whether an owner has fewer sessions than that; what has expired does not count."""
    while True:
        row = db.execute("SELECT num FROM owners WHERE owner = ?", (owner,)).fetchone()
        if row is None or row[0] < max_of_owner:
            return True
        if not _sweep_some(db, now):
            return False


def _touch(db: sqlite3.Connection, session_id: str, owner: str, epoch: int, ttl_s: float, now: float) -> int:
    """Check that the epoch is the stored one, restart the time to live, and return the stored revision."""
    row = db.execute(
        f"SELECT epoch, revision FROM sessions WHERE {_MINE}", (session_id, owner, now)
    ).fetchone()
    if row is None:
        raise not_found(session_id)
    if row[0] != epoch:
        raise Fenced(f"epoch {epoch} is over: another server has claimed this session")
    db.execute(
        "UPDATE sessions SET ttl_s = ?, expires_at = ? WHERE session_id = ?", (ttl_s, now + ttl_s, session_id)
    )
    return int(row[1])


def _stored(
    session_id: str,
    epoch: int,
    revision: int,
    size_bytes: int,
    created_ms: int,
    expires_at: float,
    summary: str,
    claim_id: str,
) -> Stored:
    return Stored(session_id, epoch, revision, size_bytes, created_ms / 1000, expires_at, summary, claim_id)
