"""Servers in processes of their own, and what they cost."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

TICKS = os.sysconf("SC_CLK_TCK")


PATIENCE = {"SEQSERVE_SCHEDULER__MAX_WAIT_S": "60", "SEQSERVE_SCHEDULER__STANDING_WAIT_S": "60"}


@dataclass(frozen=True)
class Running:
    """A server that listens."""

    address: str
    process: "subprocess.Popen[bytes]"
    metrics: str = ""
    """URL of its metrics, where it has any."""

    def cpu_s(self) -> float:
        """Processor time of it and its children so far, where /proc tells; else 0."""
        return sum(map(_cpu_s, _tree(self.process.pid)))


@contextmanager
def running_server(
    models: Path,
    threads: int = 1,
    arguments: Sequence[str] = (),
    before: Sequence[str] = (),
    *,
    patient: bool = False,
) -> Iterator[Running]:
    """`seqserve serve` as it is installed, `before` put in front of the command.

    A patient one refuses nobody because the queue is long: where it is measured how fast so many at once are served.
    """
    port, metrics = free_port(), free_port()
    command = [
        *before,
        sys.executable,
        "-m",
        "service",
        "serve",
        "--models",
        str(models),
        "--port",
        str(port),
    ]
    command += [
        "--threads",
        str(threads),
        "--metrics-port",
        str(metrics),
        "--log-level",
        "warning",
        *arguments,
    ]
    with running(command, port, f"http://127.0.0.1:{metrics}/metrics", PATIENCE if patient else {}) as server:
        yield server


@contextmanager
def running_module(module: str, *arguments: str) -> Iterator[Running]:
    """`python -m module --port …`, until it listens."""
    port = free_port()
    with running([sys.executable, "-m", module, "--port", str(port), *arguments], port) as server:
        yield server


@contextmanager
def running(
    command: Sequence[str], port: int, metrics: str = "", settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Running]:
    """Any command that listens on `port`."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, **settings})
    try:
        wait_until_listening(port, process)
        yield Running(f"127.0.0.1:{port}", process, metrics)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_until_listening(port: int, process: "subprocess.Popen[bytes]", seconds: float = 60.0) -> None:
    """Return as soon as somebody accepts connections there; RuntimeError when the process has ended."""
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                status = "still runs" if process.poll() is None else f"ended with status {process.poll()}"
                raise RuntimeError(f"{process.args!r} does not listen on port {port}; it {status}") from None
            time.sleep(0.02)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def resident_bytes(pid: int) -> int:
    """Memory that a process has now; 0 where /proc does not tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def own_cpu_s() -> float:
    """Processor time of this process so far."""
    return time.process_time()


def _tree(pid: int) -> list[int]:
    """The process and all below it."""
    try:
        children = [
            int(c) for f in Path(f"/proc/{pid}/task").glob("*/children") for c in f.read_text().split()
        ]
    except OSError:
        return [pid]
    return [pid, *(below for child in children for below in _tree(child))]


def _cpu_s(pid: int) -> float:
    return _cpu_s_of(Path(f"/proc/{pid}/stat"))


def _cpu_s_of(stat: Path) -> float:
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS
