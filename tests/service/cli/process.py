"""Runs the command line in a process of its own: behind pipes, or at a terminal with somebody typing."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
COMMAND = (sys.executable, "-m", "service")
PATIENCE_S = 90.0


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.removesuffix("\n").split("\n")


class Process:
    """`seqserve` with the address of a server in its environment."""

    def __init__(self, address: str = "") -> None:
        self.address = address
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "protos"))),
            "TERM": "xterm",
            "NO_COLOR": "1",
            "PYTHONFAULTHANDLER": "1",
        }
        if address:
            self.environment["SEQSERVE_ADDRESS"] = address

    def __call__(self, *arguments: str | bytes, stdin: bytes = b"", cwd: Path | None = None) -> Ran:
        done = subprocess.run(
            [*COMMAND, *arguments],
            input=stdin,
            capture_output=True,
            env=self.environment,
            cwd=cwd,
            timeout=PATIENCE_S,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *arguments: str, stderr: int = subprocess.PIPE) -> "subprocess.Popen[bytes]":
        pipe, command = subprocess.PIPE, [*COMMAND, *arguments]
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=stderr, env=self.environment)

    def at_terminal(self, *arguments: str, typed: Iterable[tuple[str, str]] = ()) -> Ran:
        """Type each text once the one that belongs before it has been shown; stderr is in `out`."""
        terminal, inside = os.openpty()
        command = [*COMMAND, *arguments]
        with subprocess.Popen(
            command, stdin=inside, stdout=inside, stderr=inside, env=self.environment, start_new_session=True
        ) as process:
            os.close(inside)
            try:
                shown = "".join(_answered(terminal, awaited, text) for awaited, text in typed)
                shown += _read(terminal)
            except BaseException:
                process.kill()
                raise
        os.close(terminal)
        return Ran(process.returncode, shown.replace("\r\n", "\n"), "")


def _answered(terminal: int, awaited: str, text: str) -> str:
    shown = _read(terminal, awaited)
    os.write(terminal, text.encode())
    return shown


def _read(terminal: int, awaited: str | None = None) -> str:
    """What is shown until this has come, or until the program ends."""
    raw, end = b"", time.monotonic() + PATIENCE_S
    while awaited is None or not _is_whole(raw) or awaited not in raw.decode():
        assert time.monotonic() < end, f"{awaited!r} did not come after {raw!r}"
        if select.select([terminal], [], [], 0.1)[0]:
            chunk = b""
            with suppress(OSError):  # what Linux says when the other side has gone
                chunk = os.read(terminal, 65536)
            if not chunk:
                break
            raw += chunk
    return raw.decode()


def _is_whole(raw: bytes) -> bool:
    """Whether it does not end within a character."""
    with suppress(UnicodeDecodeError):
        return bool(raw.decode() or not raw)
    return False
