# ruff: noqa: ASYNC240 - the tests change the file below the store, and nothing else runs meanwhile
"""The SQLite store: several processes, crashes, and files that do not work."""

import asyncio
import sqlite3
import stat
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Fenced, StoreAway
from service.sessions.stores.base import Store
from service.sessions.stores.memory import MemoryStore
from service.sessions.stores.sqlite import SCHEMA_VERSION, SqliteStore
from tests.service.sessions.stores.conftest import Clock, python

WRITER = """
import asyncio, sys
from pathlib import Path
from service.errors import Fenced
from service.sessions.stores.sqlite import SqliteStore

async def main(path, session_id, rounds):
    store = SqliteStore(Path(path), 30.0)
    claimed = await store.claim(session_id, "ann")
    revision, epoch = claimed.revision, claimed.epoch
    print(epoch, flush=True)
    while rounds:
        rounds -= 1
        try:
            revision = await store.save(session_id, "ann", epoch, revision + 1, b"%d" % (revision + 1) * 500, 60)
            print(revision, flush=True)
        except Fenced:
            claimed = await store.claim(session_id, "ann")
            revision, epoch = claimed.revision, claimed.epoch
    await store.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""

OPENER = """
import asyncio, sys, time
from pathlib import Path
from service.sessions.stores.sqlite import SqliteStore

async def main(path, number, rounds):
    made, end = 0, time.monotonic() + 60
    for each in range(rounds):
        here = [path.with_name(f"{other}-{each}") for other in range(4)]
        here[number].touch()
        while not all(one.exists() for one in here):
            assert time.monotonic() < end, "another has failed"
            time.sleep(0)  # where there are fewer cores than processes
        store = SqliteStore(path.with_name(f"new-{each}"), 10.0)
        made += await store.create(f"s{number}", "ann", 60)
        await store.close()
    print(made)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.sqlite"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, 10.0)
    yield store
    await store.close()


async def test_sessions_survive_a_restart(path: Path, store: SqliteStore) -> None:
    await store.create("s", "ann", 60, data=b"x")
    await store.close()
    again = SqliteStore(path)
    assert (await again.claim("s", "ann")).data == b"x"
    await again.close()


async def test_the_file_is_nobody_elses_to_read(path: Path, store: SqliteStore) -> None:
    await store.create("s", "ann", 60)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


async def test_a_kill_in_the_middle_of_saves_leaves_what_was_answered(path: Path, store: SqliteStore) -> None:
    await store.create("s", "ann", 600)
    for _ in range(3):
        writer = python("-c", WRITER, str(path), "s", "1000000")
        assert writer.stdout
        for _ in range(30):
            answered = await asyncio.to_thread(writer.stdout.readline)
        writer.kill()
        rest = await asyncio.to_thread(writer.stdout.read)
        writer.wait()
        writer.stdout.close()
        last = int((answered + rest).split(b"\n")[-2])
        claimed = await store.claim("s", "ann")
        assert claimed.revision in {last, last + 1}
        assert claimed.data == b"%d" % claimed.revision * 500
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


async def test_two_processes_that_take_a_session_from_each_other_leave_one_history(
    path: Path, store: SqliteStore
) -> None:
    await store.create("s", "ann", 600)
    writers = [python("-c", WRITER, str(path), "s", "150") for _ in range(2)]
    outputs = await asyncio.gather(*(asyncio.to_thread(writer.communicate) for writer in writers))
    assert [writer.returncode for writer in writers] == [0, 0]
    lines = [list(map(int, output.split()))[1:] for output, _ in outputs]
    revisions = sorted(revision for mine in lines for revision in mine)
    assert revisions == list(range(1, len(revisions) + 1))  # no revision was written twice, none is missing
    assert (await store.describe("s", "ann")).revision == revisions[-1]


async def test_a_locked_file_is_away_in_time_and_works_again_afterwards(path: Path) -> None:
    store = SqliteStore(path, 1.0)
    await store.create("s", "ann", 60)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreAway, match="locked"):
            await store.save("s", "ann", 1, 1, b"x", 60)
        assert not (await store.health()).serving
        other.execute("ROLLBACK")
    other.close()
    assert await store.save("s", "ann", 1, 1, b"x", 60) == 1
    await store.close()


async def test_a_fenced_save_leaves_no_transaction_open(path: Path, store: SqliteStore) -> None:
    await store.create("s", "ann", 60)
    with pytest.raises(Fenced):
        await store.save("s", "ann", 7, 1, b"x", 60)
    other = SqliteStore(path, 1.0)
    assert await other.save("s", "ann", 1, 1, b"x", 60) == 1
    await other.close()


async def test_a_file_that_is_no_database_is_away(path: Path, store: SqliteStore) -> None:
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreAway, match="not a database"):
        await store.create("s", "ann", 60)
    path.unlink()
    assert await store.create("s", "ann", 60) == 1


async def test_a_damaged_file_is_away_and_never_gives_wrong_bytes(path: Path, store: SqliteStore) -> None:
    for n in range(20):
        await store.create(f"s{n}", "ann", 60, data=bytes([n]) * 5000)
    await store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    damaged = SqliteStore(path)
    with pytest.raises(StoreAway):
        await damaged.claim("s3", "ann")
    await damaged.close()


async def test_a_folder_that_is_not_there_is_away_until_it_is(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "new" / "sessions.sqlite")
    with pytest.raises(StoreAway):
        await store.create("s", "ann", 60)
    (tmp_path / "new").mkdir()
    assert await store.create("s", "ann", 60) == 1
    await store.close()


async def test_a_full_disk_is_away_and_loses_nothing(store: SqliteStore) -> None:
    await store.create("s", "ann", 60, data=b"before")
    await store._file.run(lambda db: db.execute("PRAGMA max_page_count = 10"))
    with pytest.raises(StoreAway, match="full"):
        await store.save("s", "ann", 1, 1, bytes(1_000_000), 60)
    assert (await store.claim("s", "ann")).data == b"before"
    assert await store.save("s", "ann", 2, 1, b"after", 60) == 1


async def test_a_file_of_a_newer_server_is_refused(path: Path, store: SqliteStore) -> None:
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(StoreAway, match="upgrade"):
        await store.create("s", "ann", 60)


async def test_a_file_of_before_claims_had_ids_is_gone_on_with(path: Path) -> None:
    older = SqliteStore(path)
    await older.create("s", "ann", 60, revision=3, data=b"kept")
    await older.close()
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE sessions DROP COLUMN claim_id")
        db.execute("PRAGMA user_version = 1")
    db.close()
    store = SqliteStore(path)
    assert (await store.describe("s", "ann")).claim_id == ""
    claimed = [await store.claim("s", "ann", "one") for _ in range(2)]
    assert [(each.epoch, each.revision, each.data) for each in claimed] == [(2, 3, b"kept")] * 2
    assert (await SqliteStore(path).claim("s", "ann", "two")).epoch == 3


async def test_stores_that_make_the_file_at_once_all_work(path: Path) -> None:
    stores = [SqliteStore(path, 10.0) for _ in range(8)]
    await asyncio.gather(*(store.create(f"s{n}", "ann", 60) for n, store in enumerate(stores)))
    assert len((await stores[0].list("ann", 10)).sessions) == 8
    for store in stores:
        await store.close()


async def test_a_new_file_that_another_is_about_to_set_up_is_waited_for(
    path: Path, store: SqliteStore
) -> None:
    """SQLite answers at once that such a file is locked, whatever time it was given."""
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        creating = asyncio.create_task(store.create("s", "ann", 60))
        await asyncio.wait([creating], timeout=0.3)
        assert not creating.done()
        other.execute("ROLLBACK")
        assert await creating == 1
    other.close()


async def test_a_new_file_that_stays_locked_is_away_in_time(path: Path) -> None:
    store = SqliteStore(path, 0.1)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreAway, match="locked"):
            await store.create("s", "ann", 60)
    other.close()
    await store.close()


async def test_processes_that_make_the_file_at_once_all_work(path: Path) -> None:
    """Each new file is opened by all of them in the same moment."""
    openers = [python("-c", OPENER, str(path), str(number), "40") for number in range(4)]
    outputs = await asyncio.gather(*(asyncio.to_thread(opener.communicate) for opener in openers))
    assert [output.split() for output, _ in outputs] == [[b"40"]] * 4


async def test_a_closed_store_is_away_and_may_be_closed_again(store: SqliteStore) -> None:
    await store.close()
    with pytest.raises(StoreAway):
        await store.claim("s", "ann")
    await store.close()


Operation = Callable[[Store], Awaitable[Any]]
IDS, OWNERS, FEW = st.sampled_from("st"), st.sampled_from(("ann", "ann", "bob")), st.integers(1, 3)
FAULTS = st.builds(ValueError, st.sampled_from(("a fault of ours", "another")))
OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    st.builds(
        lambda i, o, most: lambda store: store.create(i, o, 60, data=b"0", max_of_owner=most),
        IDS,
        OWNERS,
        FEW,
    ),
    st.builds(lambda i, o: lambda store: store.claim(i, o), IDS, OWNERS),
    st.builds(lambda i, o, e, r: lambda store: store.save(i, o, e, r, b"%d" % r, 60), IDS, OWNERS, FEW, FEW),
    st.builds(lambda i, o, e: lambda store: store.touch(i, o, e, 60), IDS, OWNERS, FEW),
    st.builds(lambda i, o: lambda store: store.delete(i, o), IDS, OWNERS),
    st.builds(lambda i, o: lambda store: store.describe(i, o), IDS, OWNERS),
)


async def done(store: Store, operation: Operation) -> Any:
    try:
        return await operation(store)
    except Exception as error:
        return repr(error)


async def done_together(
    store: SqliteStore, operations: list[Operation], fault: Exception | None
) -> list[Any]:
    """Asked for while the thread is at work on something else; a fault of ours among them hurts nobody."""

    def breaks(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM sessions")
        if fault:
            raise fault

    held = threading.Event()
    first = asyncio.create_task(store._file.run(lambda db: held.wait(10)))
    await asyncio.sleep(0)
    tasks = [asyncio.create_task(done(store, operation)) for operation in operations]
    if fault:
        tasks.append(asyncio.create_task(done(store, lambda _: store._file.run(breaks))))
    for _ in range(3):  # through the shield
        await asyncio.sleep(0)
    held.set()
    await first
    return (await asyncio.gather(*tasks))[: len(operations)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(OPERATIONS, max_size=8), max_size=4), st.none() | FAULTS)
def test_what_is_asked_together_is_answered_as_if_one_had_come_after_the_other(
    groups: list[list[Operation]], fault: Exception | None
) -> None:
    async def both() -> None:
        with tempfile.TemporaryDirectory() as folder:
            store, model = SqliteStore(Path(folder) / "file", 10.0, Clock()), MemoryStore(Clock())
            for group in groups:
                expected = [await done(model, operation) for operation in group]
                assert await done_together(store, group, fault) == expected
            await store.close()

    asyncio.run(both())
