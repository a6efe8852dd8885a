"""Works on a SQLite file that share a transaction: one commit for many, and nobody hurts his neighbours."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
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
    await file.close()


def tells(number: int) -> Work:
    def work(db: sqlite3.Connection) -> int:
        db.execute("INSERT INTO told VALUES (?)", (number,))
        return number

    return work


def fails(number: int, error: BaseException) -> Work:
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


@asynccontextmanager
async def held_up(file: SqliteFile) -> AsyncIterator[None]:
    """Inside, the thread is at work on something else."""
    held = threading.Event()
    first = asyncio.create_task(file.run(lambda db: held.wait(10), writes=False))
    await asyncio.sleep(0)
    yield
    await asyncio.sleep(0)
    held.set()
    await first


def asked(file: SqliteFile, *works: Work) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(file.run(work)) for work in works]


async def together(file: SqliteFile, *works: Work) -> list[Any]:
    """What the works give that come while the thread is held up by another."""
    async with held_up(file):
        tasks = asked(file, *works)
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
    reached, held = threading.Event(), threading.Event()

    def wait_there(statement: str) -> None:
        if statement == "COMMIT":
            reached.set()
            held.wait(10)

    async with held_up(file):
        tasks = asked(
            file, tells(1), fails(2, Fenced("not his")), lambda db: db.set_trace_callback(wait_there)
        )
    await asyncio.to_thread(reached.wait, 10)
    assert (told(file), [task.done() for task in tasks]) == ([], [False] * 3)
    held.set()
    one, refused, _ = await asyncio.gather(*tasks, return_exceptions=True)
    assert (one, type(refused), told(file)) == (1, Fenced, [1])


@pytest.mark.parametrize("error", [Fenced("another has it"), ValueError("a fault of ours")], ids=repr)
async def test_one_that_fails_undoes_what_it_wrote_and_nothing_else(
    file: SqliteFile, error: Exception
) -> None:
    one, failed, other = await together(file, tells(1), fails(2, error), tells(3))
    assert (one, repr(failed), other) == (1, repr(error), 3)
    assert told(file) == [1, 3]


@pytest.mark.parametrize("error", [StopIteration(), SystemExit(1), asyncio.CancelledError()], ids=repr)
async def test_what_no_future_takes_is_told_all_the_same_and_holds_nobody_up(
    file: SqliteFile, error: BaseException
) -> None:
    one, failed, other = await together(file, tells(1), fails(2, error), tells(3))
    assert (one, other) == (1, 3)
    assert isinstance(failed, RuntimeError)
    assert repr(error) in str(failed)
    assert told(file) == [1, 3]
    assert await file.run(tells(4)) == 4


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


def owes(db: sqlite3.Connection) -> None:
    """Writes what is refused only at the commit."""
    db.execute("INSERT INTO owes VALUES (99)")


async def test_one_for_whom_the_commit_fails_is_told_so_alone(file: SqliteFile) -> None:
    one, failed, other = await together(file, tells(1), owes, tells(3))
    assert (one, type(failed), other) == (1, StoreAway, 3)
    assert told(file) == [1, 3]


async def test_where_every_commit_fails_all_are_told_and_nothing_is_left(file: SqliteFile) -> None:
    def owes_too(db: sqlite3.Connection) -> None:
        tells(1)(db)
        owes(db)

    answers = await together(file, owes_too, fails(2, Fenced("another has it")), owes_too)
    assert [type(answer) for answer in answers] == [StoreAway, Fenced, StoreAway]
    assert told(file) == []
    assert await file.run(tells(4)) == 4


async def test_what_is_well_when_it_is_done_again_was_never_refused(file: SqliteFile) -> None:
    refusals = [Fenced("not now")]

    def refused_once(db: sqlite3.Connection) -> str:
        if refusals:
            raise refusals.pop()
        return "well"

    well, _ = await together(file, refused_once, owes)
    assert well == "well"


async def test_a_lock_that_is_met_at_the_commit_is_waited_for_once_by_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file cannot keep a log beside it, readers hold up who writes, and he sees it then."""

    def without_log(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA journal_mode = DELETE")
        build(db)

    file = SqliteFile(tmp_path / "file", 0.2, without_log)
    await file.run(lambda db: None)
    with sqlite3.connect(tmp_path / "file", isolation_level=None) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM told").fetchall()
        connected: list[Any] = []
        monkeypatch.setattr(sqlite3, "connect", lambda *args, **_: connected.append(args))
        answers = await together(file, *map(tells, range(8)))
        assert {type(answer) for answer in answers} == {StoreAway}
        assert connected == []  # as nobody is, who does not do each again
        other.execute("ROLLBACK")
    other.close()
    await file.close()


async def test_who_has_left_holds_nobody_up(file: SqliteFile) -> None:
    async with held_up(file):
        leaves, stays = asked(file, tells(0), tells(1))
        await asyncio.sleep(0)
        leaves.cancel()
    assert await stays == 1
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
    await file.close()


async def test_what_waits_when_it_is_closed_is_refused_and_what_is_at_work_is_done(file: SqliteFile) -> None:
    """More wait than have a place in one transaction."""
    async with held_up(file):
        waiting = asked(file, *map(tells, range(2 * AT_ONCE + 1)))
        closing = asyncio.create_task(file.close())
    answers = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
    await closing
    assert {type(answer) for answer in answers} == {StoreAway}
    assert told(file) == []


async def test_what_is_closed_is_let_go_of_and_taken_up_by_nobody(file: SqliteFile) -> None:
    asked = asyncio.create_task(file.run(tells(1)))
    await asyncio.sleep(0)
    late = asyncio.create_task(file.run(tells(2)))
    await file.close()
    assert await asked == 1
    with pytest.raises(StoreAway, match="closed"):
        await late
    assert {path.name for path in file._path.parent.iterdir()} == {"file"}  # nor a log beside it
    await file.close()
