from pathlib import Path

import pytest

from tests.service.cli.process import Process, Ran


def tab(process: Process, shell: str, line: str, cwd: Path | None = None) -> Ran:
    """What seqserve tells a shell whose user has typed this line and presses Tab."""
    process.environment |= {
        "_SEQSERVE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    return process(cwd=cwd)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_and_models_of_the_server_are_offered(process: Process, shell: str) -> None:
    assert "doctor" in tab(process, shell, "seqserve doc").out
    for line in ("classify --model ", "translate -m ", "evaluate --model ", "models "):
        ran = tab(process, shell, f"seqserve {line}")
        assert "capitals" in ran.out
        assert (ran.code, ran.err) == (0, "")


def test_only_what_goes_on_as_was_typed_is_offered(process: Process) -> None:
    assert tab(process, "bash", "seqserve classify --model que").lines == ["questions"]


def test_without_a_server_the_folder_s_models_are_offered(tmp_path: Path) -> None:
    (tmp_path / "models/mine/1").mkdir(parents=True)
    (tmp_path / "models/mine/1/manifest.json").touch()
    ran = tab(Process("127.0.0.1:1"), "bash", "seqserve classify --model ", cwd=tmp_path)
    assert (ran.lines, ran.err) == (["mine"], "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_each_shell_is_written(shell: str) -> None:
    process = Process()
    process.environment["_SEQSERVE_COMPLETE"] = f"source_{shell}"
    assert f"_SEQSERVE_COMPLETE=complete_{shell}" in process().out
