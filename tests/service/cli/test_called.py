"""What a command prints to be typed next can be typed by whoever has called it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.cli import called
from tests.service.cli.process import Process


@pytest.fixture
def bin_(tmp_path: Path) -> Path:
    """A folder with the command, as a virtual environment has it."""
    folder = tmp_path / "my env" / "bin"
    folder.mkdir(parents=True)
    script = folder / "seqserve"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    return folder


def test_a_program_that_no_shell_would_find_is_named_by_its_path(
    bin_: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(bin_.parent)
    monkeypatch.setattr(sys, "argv", ["bin/seqserve", "serve"])
    assert called.name() == "bin/seqserve"
    monkeypatch.setattr(sys, "argv", [str(bin_ / "seqserve"), "serve"])
    assert called.name() == f"'{bin_}/seqserve'"
    subprocess.run(f"{called.name()} serve", shell=True, check=True)


def test_a_program_that_a_shell_finds_is_named_by_its_name(
    bin_: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(bin_))
    monkeypatch.chdir(bin_.parent)
    for path in ("bin/seqserve", str(bin_ / "seqserve")):
        monkeypatch.setattr(sys, "argv", [path])
        assert called.name() == "seqserve"
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "other" / "seqserve")])
    assert called.name() == str(tmp_path / "other" / "seqserve"), "the shell would find another one"


def test_only_commands_are_renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["venv/bin/seqserve"])
    monkeypatch.setenv("PATH", "/nowhere")
    text = "no seqserve serves there; see: seqserve models, or: arecord | seqserve transcribe --live"
    assert called.typable(text) == (
        "no seqserve serves there; see: venv/bin/seqserve models, or: arecord | venv/bin/seqserve transcribe --live"
    )


def test_where_no_server_answers_the_command_that_starts_one_is_the_one_that_asked(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "seqserve"
    script.write_text(f"#!{sys.executable}\nfrom service.cli import main\nmain()\n")
    script.chmod(0o755)
    environment = {**Process("127.0.0.1:1").environment, "PATH": os.defpath}
    ran = subprocess.run(
        ["bin/seqserve", "models"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.endswith("start one with: bin/seqserve serve\n")
