"""Works on a SQLite file that share a transaction: one commit for many, and nobody hurts his neighbours."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from service.errors import Fenced, StoreAway
from service.sessions.stores.sqlite_file import AT_ONCE, SqliteFile

Work = Callable[[sqlite3.Connection], Any]


def build(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("CREATE TABLE IF NOT EXISTS told (number INTEGER PRIMARY KEY)")
    db.execute(
        "CREATE TABLE IF NOT EXISTS owes "
        "(number INTEGER REFERENCES told (number) DEFERRABLE INITIALLY DEFERRED)"
    )


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[SqliteFile]:
    file = SqliteFile(tmp_path / "file", 5.0, build)
    await file.run(lambda db: None)
    yield file
    await file.disconnect()
    file.close()


def tells(number: int) -> Work:
    def work(db: sqlite3.Connection) -> int:
        db.execute("INSERT INTO told VALUES (?)", (number,))
        return number

    return work


def fails(number: int, error: Exception) -> Work:
    """Writes, and then fails."""

    def work(db: sqlite3.Connection) -> None:
        tells(number)(db)
        raise error

    return work


def told(file: SqliteFile) -> list[int]:
    """What is in the file, as another connection sees it."""
    with sqlite3.connect(file._path) as db:
        rows = [number for (number,) in db.execute("SELECT number FROM told ORDER BY number")]
    db.close()
    return rows


async def together(file: SqliteFile, *works: Work) -> list[Any]:
    """What the works give that come while the thread is held up by another."""
    held = threading.Event()
    first = asyncio.create_task(file.run(lambda db: held.wait(10)))
    await asyncio.sleep(0)
    tasks = [asyncio.create_task(file.run(work)) for work in works]
    await asyncio.sleep(0)
    held.set()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True)


async def statements(file: SqliteFile) -> list[str]:
    """All that is done from now on, as it comes."""
    done: list[str] = []
    await file.run(lambda db: db.set_trace_callback(done.append))
    return done


async def test_what_comes_while_it_is_at_work_shares_a_commit(file: SqliteFile) -> None:
    done = await statements(file)
    assert await together(file, *map(tells, range(AT_ONCE + 1))) == list(range(AT_ONCE + 1))
    assert (
        done.count("COMMIT") == 4
    )  # of the one that set the trace, the first, the full one, and what was left
    assert told(file) == list(range(AT_ONCE + 1))


async def test_nobody_is_answered_before_the_commit(file: SqliteFile) -> None:
    early: list[int] = []

    async def asks(number: int) -> None:
        await file.run(tells(number))
        if number not in told(file):
            early.append(number)

    await asyncio.gather(*map(asks, range(100)))
    assert early == []


@pytest.mark.parametrize("error", [Fenced("another has it"), ValueError("a fault of ours")], ids=repr)
async def test_one_that_fails_undoes_what_it_wrote_and_nothing_else(
    file: SqliteFile, error: Exception
) -> None:
    one, failed, other = await together(file, tells(1), fails(2, error), tells(3))
    assert (one, repr(failed), other) == (1, repr(error), 3)
    assert told(file) == [1, 3]


async def test_one_that_the_file_refuses_is_told_so_alone(file: SqliteFile) -> None:
    one, failed, other = await together(
        file, tells(1), lambda db: db.execute("SELECT nothing FROM nowhere"), tells(3)
    )
    assert (one, type(failed), other) == (1, StoreAway, 3)
    assert told(file) == [1, 3]


async def test_what_was_refused_among_others_that_failed_is_asked_again(file: SqliteFile) -> None:
    """Its refusal may have come of what they wrote."""
    refused_once: list[int] = []

    def refused_beside_others(db: sqlite3.Connection) -> str:
        if db.execute("SELECT count(*) FROM told").fetchone()[0]:
            refused_once.append(1)
            raise Fenced("there is something")
        return "alone"

    def breaks_once(db: sqlite3.Connection) -> str:
        if len(refused_once) == 1:
            refused_once.append(2)
            raise sqlite3.OperationalError("disk I/O error")
        return "well"

    wrote, refused, broke = await together(file, tells(1), refused_beside_others, breaks_once)
    assert (wrote, type(refused), broke) == (1, Fenced, "well")
    assert refused_once == [1, 2, 1]


async def test_when_the_commit_fails_all_are_told_and_nothing_is_left(file: SqliteFile) -> None:
    def owes(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO owes VALUES (99)")  # which is seen at the commit

    answers = await together(file, tells(1), owes, tells(3))
    assert [type(answer) for answer in answers] == [StoreAway] * 3
    assert told(file) == []
    assert await file.run(tells(4)) == 4


async def test_who_has_left_holds_nobody_up(file: SqliteFile) -> None:
    held = threading.Event()
    first = asyncio.create_task(file.run(lambda db: held.wait(10)))
    await asyncio.sleep(0)
    leaves, stays = (asyncio.create_task(file.run(tells(number))) for number in range(2))
    await asyncio.sleep(0)
    leaves.cancel()
    held.set()
    assert await stays == 1
    await first
    assert told(file) == [0, 1]  # what was asked is done all the same


async def test_a_lock_of_another_process_is_waited_for_once_by_all(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "file", 0.2, build)
    await file.run(lambda db: None)
    done = await statements(file)
    with sqlite3.connect(tmp_path / "file", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        answers = await asyncio.gather(*(file.run(tells(n)) for n in range(8)), return_exceptions=True)
        other.execute("ROLLBACK")
    other.close()
    assert {type(answer) for answer in answers} == {StoreAway}
    assert done.count("BEGIN IMMEDIATE") <= 2  # the first, and those that came after it
    await file.disconnect()
    file.close()
