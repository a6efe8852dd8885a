"""A SQLite file: one connection on one thread, and one transaction for all that is asked of it meanwhile.

    run ─▶ what waits ─▶ the thread: BEGIN · one after the other, each between savepoints · COMMIT ─▶ all are answered

So a commit, and the way to the thread and back, are paid once by as many as came while the last commit was under way
(Gray and Reuter 1992, §10.4.7: group commit). Nobody is answered before the commit that he is part of.
"""

import asyncio
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from service.errors import SeqserveError, StoreAway

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

AT_ONCE = 64
"""Works in one transaction: the first waits for the last."""
AGAIN_AFTER_S = 0.005
"""How soon a connection to a new file looks again whether another has set it up."""


@dataclass(slots=True)
class _Asked:
    """A work, who waits for it, and what came of it: a value or an error."""

    work: Work[Any]
    writes: bool
    asker: "asyncio.Future[Any]"
    value: Any = None
    error: Exception | None = None

    def answer(self) -> None:
        """Tell who waits, unless he has left."""
        if self.asker.done():
            return
        if self.error is None:
            self.asker.set_result(self.value)
        else:
            self.asker.set_exception(self.error)


class SqliteFile:
    """Works on a file, in transactions; other processes may work on the same file. Belongs on the event loop."""

    def __init__(self, path: Path, timeout_s: float, build: Work[None]) -> None:
        """`build` is the first work on each connection; `timeout_s` is waited for locks of other processes."""
        self._path = path
        self._timeout_s = timeout_s
        self._build = build
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-store")
        self._waiting: deque[_Asked] = deque()
        self._is_at_work = False

    async def run(self, work: Work[T], *, writes: bool = True) -> T:
        """What the work gives, once that is committed.

        A SeqserveError that it raises undoes what it wrote, and nothing of the others. StoreAway when the file fails.
        """
        asked = _Asked(work, writes, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        self._hand_over()
        result: T = await asked.asker
        return result

    async def close(self) -> None:
        """Let what is under way end, and the thread after it; what waits, or comes later, is refused with StoreAway."""
        with suppress(RuntimeError):  # closed before
            disconnected = self._thread.submit(self._disconnect)
            self._thread.shutdown(wait=False)
            await asyncio.wrap_future(disconnected)

    def _hand_over(self) -> None:
        """Give the thread what waits, unless it is at work: then it gets that, and what comes meanwhile, afterwards."""
        if self._is_at_work or not self._waiting:
            return
        together = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
        try:
            self._thread.submit(self._work_off, together, asyncio.get_running_loop())
        except RuntimeError:
            for asked in (*together, *self._waiting):
                asked.error = StoreAway("the sqlite store is closed")
                asked.answer()
            self._waiting.clear()
            return
        self._is_at_work = True

    def _done(self, together: Sequence[_Asked]) -> None:
        self._is_at_work = False
        for asked in together:
            asked.answer()
        self._hand_over()

    def _work_off(self, together: Sequence[_Asked], loop: asyncio.AbstractEventLoop) -> None:
        """On the thread."""
        if not self._try(together):
            for asked in together:
                self._try([asked])
        with suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(self._done, together)

    def _try(self, together: Sequence[_Asked]) -> bool:
        """Work in one transaction. False where one of several may have failed it: then each needs one of its own.

        After a fault of the file the connection is made anew: the file may have been replaced.
        """
        # The lock at once: a reader that becomes a writer half way may find that it has read what is over.
        begin = "BEGIN IMMEDIATE" if any(asked.writes for asked in together) else "BEGIN"
        has_begun = False
        try:
            db = self._connected()
            with transaction(db, begin):
                has_begun = True
                for asked in together:
                    _do(db, asked)
            return True
        except BaseException as error:  # whatever got out of here would leave them without an answer
            self._disconnect()
            if has_begun and len(together) > 1 and not _is_locked(error):  # for which each would wait
                return False
            for asked in together:
                asked.error = self._told(error)
            return True

    def _told(self, error: BaseException) -> Exception:
        if isinstance(error, sqlite3.Error | OSError):
            return StoreAway(f"the sqlite store {self._path} does not work: {error}")
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            return error
        return RuntimeError(f"a work on {self._path} raised {error!r}")  # no future takes that itself

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))  # sessions are nobody else's to read
            db = sqlite3.connect(self._path, timeout=self._timeout_s, isolation_level=None)
            self._connection = db
            _write_ahead(db, self._timeout_s)
            db.execute("PRAGMA synchronous = NORMAL")
            self._build(db)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            with suppress(sqlite3.Error):
                connection.close()


@contextmanager
def transaction(db: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """All or nothing of what is done within it."""
    db.execute(begin)
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _do(db: sqlite3.Connection, asked: _Asked) -> None:
    """One work of a transaction; what it raises for its asker undoes it alone."""
    asked.error = None
    db.execute("SAVEPOINT one")
    try:
        asked.value = asked.work(db)
    except SeqserveError as error:
        asked.error = error
        db.execute("ROLLBACK TO one")
    db.execute("RELEASE one")


def _write_ahead(db: sqlite3.Connection, timeout_s: float) -> None:
    """Keep a log of changes beside the file. SQLite itself does not wait for another who is about to do the same."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if not _is_locked(error) or time.monotonic() >= end:
                raise
        time.sleep(AGAIN_AFTER_S)


def _is_locked(error: BaseException) -> bool:
    """Whether another process had the file for longer than it may."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
