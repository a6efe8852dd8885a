"""Disks that are full, gone, or not to be written, under a server that runs."""

import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.foreign_graphs import write_sum
from tests.service.cli.process import COMMAND, Process
from tests.system.failing.served import EVERY_STEP, MODEL, Served, can_mount, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Served]:
    server = Served(folder, "--store", f"sqlite:{folder / 'sessions.sqlite'}", *arguments)
    server.start()
    server.wait()
    try:
        yield server
    finally:
        server.kill()


def fed(server: Served, *words: str) -> list[object]:
    """What a session that nothing happens to answers."""
    with server.client() as client, client.session(model=MODEL) as session:
        return [session.feed(f"{word} ") for word in words]


def test_with_a_full_disk_sessions_go_on_and_are_saved_when_there_is_room(tmp_path: Path) -> None:
    """No file of the process can grow: neither the store's nor the log."""
    with serving(tmp_path) as server, server.client() as client:
        with client.session(model=MODEL, durability=EVERY_STEP) as session:
            said = [session.feed("uno ")]
            server.limit(resource.RLIMIT_FSIZE, 1)
            said += [session.feed("dos "), session.feed("tres ")]
            server.until_part("store", works=False)
            server.until_part("log", works=False)
            assert server.metric("seqserve_sessions_unsaved") == 1
            server.give_back(resource.RLIMIT_FSIZE)
            server.until_part("store", works=True)
            server.until_part("log", works=True)
            until(lambda: server.metric("seqserve_sessions_unsaved") == 0, "it was saved")
            assert "lines were left out" in server.log()
            server.kill()
            server.start()
            server.wait()
            said.append(session.feed("cuatro "))
        assert said == fed(server, "uno", "dos", "tres", "cuatro")


def test_what_was_not_saved_when_a_server_drained_to_a_full_disk_its_client_brings_back(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as server, server.client() as client:
        with client.session(model=MODEL, durability=EVERY_STEP) as session:
            said = [session.feed("uno ")]
            server.limit(resource.RLIMIT_FSIZE, 1)
            said.append(session.feed("dos "))
            assert server.end() == 0
            server.start()
            server.wait()
            said.append(session.feed("tres "))
        assert said == fed(server, "uno", "dos", "tres")


def test_a_store_that_somebody_else_has_locked_holds_up_nobody_for_long(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as client:
        with client.session(model=MODEL, durability=EVERY_STEP) as session:
            said = [session.feed("uno ")]
            other = sqlite3.connect(tmp_path / "sessions.sqlite", isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            said.append(session.feed("dos "))
            server.until_part("store", works=False)
            other.execute("ROLLBACK")
            other.close()
            server.until_part("store", works=True)
            said.append(session.feed("tres "))
        assert said == fed(server, "uno", "dos", "tres")


def test_models_go_on_when_their_files_are_cut_and_taken_away(tmp_path: Path) -> None:
    """What is served lies in memory, not in the files: no page of them is read again."""
    with serving(tmp_path) as server, server.client() as client:
        before = client.classify(["uno", "dos tres"])
        folder = tmp_path / "models" / MODEL / "1"
        with (folder / "classify.onnx").open("r+b") as graph:
            graph.truncate(10)
        assert client.classify(["uno", "dos tres"]) == before
        shutil.rmtree(tmp_path / "models")
        assert client.classify(["uno", "dos tres"]) == before
        assert all(client.parts().values())
        ran = Process(server.address)("doctor", "--models", str(tmp_path / "models"))
        assert ran.code == 1
        assert "1 in the way" in ran.out


def test_on_a_disk_without_space_the_store_is_away_until_there_is_some(tmp_path: Path) -> None:
    """A real disk of half a megabyte."""
    if not can_mount():
        pytest.skip("no disk can be mounted here")
    server = _on_a_disk(tmp_path, "size=512k")
    server.start()
    server.wait()
    try:
        inside = Path(f"/proc/{server.pid}/root{tmp_path / 'disk'}")
        with server.client() as client, client.session(model=MODEL, durability=EVERY_STEP) as session:
            said = [session.feed("uno ")]
            with pytest.raises(OSError, match="No space left"):
                (inside / "junk").write_bytes(bytes(1 << 20))
            said += [session.feed("dos "), session.feed("tres ")]
            server.until_part("store", works=False)
            assert "full" in server.log()
            (inside / "junk").unlink()
            server.until_part("store", works=True)
        assert said == fed(server, "uno", "dos", "tres")
    finally:
        server.kill()


def test_on_a_disk_that_is_read_only_the_store_is_away_until_it_can_be_written(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("no disk can be mounted here")
    server = _on_a_disk(tmp_path, "ro")
    server.start()
    server.wait()
    try:
        with server.client() as client, client.session(model=MODEL, durability=EVERY_STEP) as session:
            said = [session.feed("uno ")]
            server.until_part("store", works=False)
            inside = ["nsenter", "--mount", "--target", str(server.pid)]
            subprocess.run([*inside, "mount", "-o", "remount,rw", tmp_path / "disk"], check=True)
            server.until_part("store", works=True)
            said.append(session.feed("dos "))
            assert server.metric("seqserve_sessions_unsaved") == 0
        assert said == fed(server, "uno", "dos")
    finally:
        server.kill()


def _on_a_disk(folder: Path, options: str) -> Served:
    """A server whose store lies on a disk that nobody else sees."""
    disk = folder / "disk"
    disk.mkdir()
    server = Served(folder, "--store", f"sqlite:{disk / 'sessions.sqlite'}")
    mount = f"mount -t tmpfs -o {options} none {disk}"
    server.wrapper = ("unshare", "--mount", "sh", "-c", f'{mount}; exec "$@"', "sh")
    return server


def test_an_import_to_a_full_disk_says_so_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write_sum(tmp_path)
    models = tmp_path / "models"
    command = 'ulimit -f 1; exec "$0" "$@"'
    process = Process()
    ran = subprocess.run(
        ["bash", "-c", command, *COMMAND, "import", str(path), "--models", str(models)],
        env=process.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode != 0
    assert ran.stderr.startswith("seqserve: ")
    assert "Traceback" not in ran.stderr
    assert not list(models.rglob("manifest.json"))
    assert [path for path in models.rglob("*") if path.is_file()] == []
