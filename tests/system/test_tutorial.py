"""The tutorial, as a stranger follows it: every block, in order, in an empty folder."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.client import Client
from tests.fakes.ports import free_port
from tests.service.cli.process import ROOT, Process
from tests.system.test_readme import _answers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.+?)^```", TUTORIAL, re.MULTILINE | re.DOTALL)
RECIPE_NAME = "tickets.toml"


class Follower:
    """Does what a block says, and keeps what came of it."""

    def __init__(self, folder: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._folder = folder
        self._server: subprocess.Popen[bytes] | None = None
        command = folder / "bin" / "seqserve"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m service "$@"\n')
        command.chmod(0o755)
        self._environment = Process(self.address).environment | {
            "PATH": f"{command.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SEQSERVE_SERVER__PORT": self.address.rpartition(":")[2],
        }

    def follow(self, kind: str, text: str) -> str:
        """What it shows."""
        if kind == "toml":
            (self._folder / RECIPE_NAME).write_text(text)
            return ""
        if text.startswith("seqserve serve"):
            return self._serve(text)
        if kind == "python":
            text = text.replace("Client()", f'Client("{self.address}")')
            return self._run([sys.executable, "-c", text])
        return self._run(["bash", "-e", "-o", "pipefail", "-c", text])

    def stop(self) -> None:
        if self._server is not None:
            self._server.send_signal(signal.SIGTERM)
            assert self._server.wait(60) == 0

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=self._folder, env=self._environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _serve(self, text: str) -> str:
        nowhere = subprocess.DEVNULL
        self._server = subprocess.Popen(
            text.split(), cwd=self._folder, env=self._environment, stdout=nowhere, stderr=nowhere
        )
        with Client(self.address, timeout=60, max_attempts=5) as client:
            assert any(_answers(client) for _ in range(50))
        return ""


@pytest.fixture
def follower(tmp_path: Path) -> Iterator[Follower]:
    follower = Follower(tmp_path)
    yield follower
    follower.stop()


def test_whoever_follows_the_tutorial_has_a_model_that_knows_the_desks(follower: Follower) -> None:
    shown = [follower.follow(kind, text) for kind, text in BLOCKS]
    whole, live, program, score = shown[5:]
    first, *ranked = whole.splitlines()
    assert "delivery" in first
    assert json.loads(ranked[0])
    assert live.splitlines()[-1].startswith("repair\t")
    assert program.startswith("praise ")
    assert "accuracy 100.00 %" in score


def test_the_tutorial_names_files_and_links_that_are_there() -> None:
    for link in re.findall(r"\]\(([\w./-]+)\)", TUTORIAL):
        assert (ROOT / "docs" / link).exists(), link
    assert f"`{RECIPE_NAME}`" in TUTORIAL
