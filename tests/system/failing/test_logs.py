"""Logs that nobody reads, or that cannot be written."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.failing.served import Served, fill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Logging(Served):
    """Its stderr is what the test gives it; it logs every call."""

    def __init__(self, folder: Path, stderr: int) -> None:
        super().__init__(folder, "--log-level", "debug")
        self._stderr = stderr

    def start(self) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "ORT_DISABLE_TELEMETRY": "1",
        }
        self._process = subprocess.Popen(
            self.command(), stdout=subprocess.DEVNULL, stderr=self._stderr, env=environment, cwd=self._folder
        )

    def log(self) -> str:
        return ""


@contextmanager
def logging(folder: Path, stderr: int) -> Iterator[Logging]:
    server = Logging(folder, stderr)
    server.start()
    server.wait()
    try:
        yield server
    finally:
        server.kill()


def test_a_log_that_nobody_reads_holds_up_nobody_and_goes_on_when_somebody_does(tmp_path: Path) -> None:
    read, write = os.pipe()
    with logging(tmp_path, write) as server, server.client() as client:
        before = client.classify(["uno"])
        fill(write)
        server.until_part("log", works=False)
        for _ in range(50):
            assert client.classify(["uno"]) == before
        _emptied(read)
        server.until_part("log", works=True)
        assert b"lines were left out" in _emptied(read)
        assert server.end() == 0
    os.close(read)
    os.close(write)


def _emptied(pipe: int) -> bytes:
    """What lies in a pipe."""
    os.set_blocking(pipe, False)
    found = b""
    try:
        while piece := os.read(pipe, 1 << 16):
            found += piece
    except BlockingIOError:
        pass
    return found


def test_a_log_whose_reader_has_gone_ends_nothing(tmp_path: Path) -> None:
    read, write = os.pipe()
    with logging(tmp_path, write) as server, server.client() as client:
        before = client.classify(["uno"])
        os.close(read)
        assert client.classify(["uno"]) == before
        server.until_part("log", works=False)
        assert client.classify(["uno"]) == before
        assert server.end() == 0
    os.close(write)


def test_a_log_on_a_full_disk_ends_nothing(tmp_path: Path) -> None:
    """/dev/full: no space left on the device, from the first line on."""
    with Path("/dev/full").open("wb") as full, logging(tmp_path, full.fileno()) as server:
        with server.client() as client:
            assert client.classify(["uno"])
            server.until_part("log", works=False)
        assert server.end() == 0
