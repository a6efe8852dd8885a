"""docs/security.md as somebody types it, and the table of docs/threat-model.md held against the tests."""

import ast
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from service.config import Settings
from tests.fakes.ports import free_port
from tests.service.cli.process import ROOT, Process

PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
MODEL = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
ROW = re.compile(r"^\| (.+?) \| (.+?) \| \[`(\w+)`\]\(\.\./tests/(.+?)\) \|$", re.MULTILINE)
ATTACKS_ONLY = ("service/server/test_wire_attacks.py",)
"""Every test in these files has to be in the table."""


class Shell:
    """A folder, a port, and `seqserve` as a command."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        port = str(free_port())
        command = folder / "bin" / "seqserve"
        command.parent.mkdir()
        process = Process(f"localhost:{port}")
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m service "$@"\n')
        command.chmod(0o755)
        self._environment = process.environment | {
            "PATH": f"{command.parent}:{process.environment['PATH']}",
            "SEQSERVE_SERVER__PORT": port,
            "SEQSERVE_MODELS__REPOSITORY": str(folder / "models"),
        }
        shutil.copytree(ROOT / "models" / "snips-intents", folder / "models" / "snips-intents")
        self._server: subprocess.Popen[bytes] | None = None

    def run(self, block: str) -> None:
        ran = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", block],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, f"{block}\n{ran.stdout}{ran.stderr}"

    def serve(self, line: str) -> None:
        self.stop()
        self._server = subprocess.Popen(
            ["bash", "-c", f"exec {line}"],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._server.stdout
        started = time.monotonic()
        for said in self._server.stdout:
            if b"Ctrl-C ends" in said:
                return
        pytest.fail(f"the server ended after {time.monotonic() - started:.1f} s: {line}")

    def stop(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.communicate()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_page_works_as_it_is_typed(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    try:
        for block in re.findall(r"^```sh\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL):
            if block.startswith("seqserve serve"):
                shell.serve(block.strip())
            else:
                shell.run(block)
    finally:
        shell.stop()


def test_the_settings_of_the_page_are_settings(tmp_path: Path) -> None:
    for number, block in enumerate(re.findall(r"^```toml\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL)):
        assert tomllib.loads(block)
        file = tmp_path / f"{number}.toml"
        file.write_text(block)
        Settings.load(file, environment={})
    for key in re.findall(r"`((?:server|tls|auth|quotas|sessions)\.\w+)`", PAGE + MODEL):
        piece, _, name = key.partition(".")
        assert name in type(getattr(Settings(), piece)).model_fields, key


def names_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_attack_of_the_table_has_its_test_and_every_test_of_an_attack_its_row() -> None:
    rows = ROW.findall(MODEL)
    assert len(rows) == MODEL.count("](../tests/") > 40
    for attack, got, test, file in rows:
        assert test in names_in(file), f"{attack}: {got}"
    for file in ATTACKS_ONLY:
        assert names_in(file) == {test for _, _, test, place in rows if place == file}


def test_the_commands_of_the_policy_exist() -> None:
    policy = (ROOT / "SECURITY.md").read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for command in re.findall(r"`make (\w+)`", policy):
        assert f"\n{command}:" in makefile, command
    for path in re.findall(r"\]\(([^)]+)\)", policy):
        assert (ROOT / path).exists(), path
