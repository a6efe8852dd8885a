"""Tab, in shells as they are: what was typed is gone on with."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Missing
from tests.service.cli.process import Process

PATIENCE_S = 60.0
ESCAPES = re.compile(rb"\x1b(\[[0-9;?<>=]*[A-Za-z]|[()].|\][^\x07]*\x07|[=>])")
START = {
    "bash": (["--norc", "-i"], "source {script}"),
    "zsh": (["-f", "-i"], "autoload -Uz compinit; compinit -u -D; source {script}"),
    "fish": (["--no-config", "-i"], "source {script}"),
}
"""Shell → its options, and what makes it know our commands, as `seqserve --install-completion` writes it."""


class Terminal:
    """A shell on a terminal, and all that it has shown."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.shown = b""

    def type(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while text.encode() not in ESCAPES.sub(b"", self.shown):
            assert time.monotonic() < end, self.shown
            if select.select([self._descriptor], [], [], 0.1)[0]:
                self.shown += os.read(self._descriptor, 4096)
                self._answer()

    def _answer(self) -> None:
        """A shell may ask what terminal it is on, and wait."""
        for question, answer in ((b"\x1b[c", b"\x1b[?1;2c"), (b"\x1b[6n", b"\x1b[1;1R")):
            if question in self.shown:
                os.write(self._descriptor, answer)
                self.shown = self.shown.replace(question, b"")


@contextmanager
def terminal(shell: str, environment: dict[str, str]) -> Iterator[Terminal]:
    ours, its = pty.openpty()
    command = ["setsid", "--ctty", shell, *START[shell][0]]  # fish wants the terminal to be its own
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment)
    os.close(its)
    try:
        yield Terminal(ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.parametrize("shell", START)
def test_tab_goes_on_with_commands_and_models(
    process: Process, shell: str, tmp_path: Path, missing: Missing
) -> None:
    if shutil.which(shell) is None:
        missing(shell)
    script, command = tmp_path / "completion", tmp_path / "seqserve"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m service "$@"\n')
    command.chmod(0o755)
    process.environment["_SEQSERVE_COMPLETE"] = f"source_{shell}"
    script.write_text(process().out)
    del process.environment["_SEQSERVE_COMPLETE"]
    path = f"{tmp_path}:{os.environ['PATH']}"
    home = {"HOME": str(tmp_path), "PATH": path, "TERM": "xterm", "PS1": "", "LC_ALL": "C.UTF-8"}
    with terminal(shell, process.environment | home) as screen:
        screen.type(START[shell][1].format(script=script) + "; echo rea''dy\n")
        screen.wait_for("ready")
        screen.type("seqserve doc\t")
        screen.wait_for("seqserve doctor")
        screen.type("\x15seqserve classify --model que\t")
        screen.wait_for("--model questions")
