"""Stores that benchmarks give their servers: a Redis of their own, a file in a folder that goes with them."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import free_port, wait_until_listening


def has_redis() -> bool:
    return shutil.which("redis-server") is not None


@contextmanager
def redis(folder: Path) -> Iterator[tuple[str, int]]:
    """A Redis that forgets all when it ends: its address and its process."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with ended(subprocess.Popen(command, stdout=subprocess.DEVNULL)) as process:
        wait_until_listening(port, process)
        yield f"redis://127.0.0.1:{port}/0", process.pid


@contextmanager
def ended(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    """The process, ended on the way out."""
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)
