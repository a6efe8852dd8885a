"""The real processes of these tests: replicas of the server, and Redis. Each listens on a port of its own choice."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fakes.ports import free_port

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 90.0


class Running:
    """A process that listens on `port`; what it writes goes to a file in `folder`."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def start(self) -> None:
        """Return at once; `wait` for it to listen."""
        paths = os.pathsep.join((str(ROOT), str(ROOT / "protos")))
        environment = {**os.environ, "PYTHONPATH": paths, "ORT_DISABLE_TELEMETRY": "1"}
        with (self._folder / f"{self.name}.log").open("ab") as written:
            self._process = subprocess.Popen(
                self.command(), stdout=written, stderr=written, env=environment, cwd=self._folder
            )

    def wait(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while not self.listens():
            assert self.is_running, f"{self.name} has ended:\n{self.log()}"
            assert time.monotonic() < end, f"{self.name} does not listen:\n{self.log()}"
            time.sleep(0.05)

    def listens(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        except OSError:
            return False

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def end(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(PATIENCE_S)

    def log(self) -> str:
        return (self._folder / f"{self.name}.log").read_text(errors="replace")[-4000:]

    def memory_bytes(self) -> int:
        """Resident."""
        assert self._process is not None
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


class Replica(Running):
    def __init__(self, name: str, folder: Path, models: Path, *arguments: str) -> None:
        super().__init__(name, folder)
        self._arguments = ("--models", str(models), "--log-level", "warning", *arguments)

    def command(self) -> Sequence[str]:
        return (sys.executable, "-m", "service", "serve", "--port", str(self.port), *self._arguments)


class Redis(Running):
    """Writes each change to its disk before it answers, so that a restart loses nothing."""

    @property
    def url(self) -> str:
        return f"redis://{self.address}/0"

    def command(self) -> Sequence[str]:
        keep = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
        return ("redis-server", "--bind", "127.0.0.1", "--port", str(self.port), *keep)
