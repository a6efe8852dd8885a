"""`seqserve serve --workers 2` as a real process, and its children."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.service.cli.process import Process
from tests.system.conftest import READY

PATIENCE_S = 120.0


@dataclass
class Workers:
    """The parent, and where its children listen."""

    process: "subprocess.Popen[bytes]"
    address: str
    log: Path

    @property
    def pids(self) -> list[int]:
        """Of the children that are there; a dead one that nobody has asked for is not."""
        told = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [pid for pid in map(int, told.split()) if is_there(pid)]

    def started(self) -> int:
        """How often a worker began to listen."""
        return self.log.read_text().count("started ")

    def wait_until_started(self, times: int) -> None:
        wait_until(lambda: self.started() >= times, self.log)

    def end(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


def is_there(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(true: Callable[[], bool], log: Path) -> None:
    """Until that is so; the log is shown where it does not come to be."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)


@contextmanager
def workers(models: Path, folder: Path, *flags: str, num: int = 2) -> Iterator[Workers]:
    """On a free port, until the block ends; all of them listen."""
    log = folder / "workers.log"
    with log.open("wb") as written:
        arguments = ("--models", str(models), "--port", "0", "--workers", str(num), *flags)
        command = Process()
        command.environment["TMPDIR"] = str(folder)  # a parent that is killed leaves its store there
        process = command.start("serve", *arguments, stderr=written.fileno())
    try:
        served = Workers(process, _address(process, log), log)
        served.wait_until_started(num)
        yield served
    finally:
        process.kill()
        process.communicate()


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    assert process.stdout
    for line in process.stdout:
        if ready := READY.search(line.decode()):
            return ready[1]
    raise AssertionError(log.read_text())


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
