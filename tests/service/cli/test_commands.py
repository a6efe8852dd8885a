import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.fake_service import FakeService
from tests.service.cli.conftest import Seqserve
from tests.service.cli.process import ROOT, Process

COMMANDS = (
    "serve",
    "doctor",
    "translate",
    "classify",
    "models",
    "score",
    "sessions",
    "version",
    "train",
    "export",
    "evaluate",
)


def test_models_are_a_table(seqserve: Seqserve) -> None:
    header, translator, classifier = seqserve("models").lines
    assert header.split()[:3] == ["model", "version", "task"]
    assert " ".join(translator.split()) == "capitals 2 translate es → en 12,300,000 13.0 MB int8 no"
    assert classifier.split()[:2] == ["questions", "1"]


def test_one_model_is_told_about_in_full(seqserve: Seqserve) -> None:
    out = seqserve("models", "capitals").out
    assert "beam 4, length penalty 1, at most 200 tokens" in out
    assert "no: its encoder reads both ways" in out
    assert "question, statement" in seqserve("models", "questions").out


def test_models_as_json(seqserve: Seqserve) -> None:
    assert [json.loads(line)["name"] for line in seqserve("models", "--json").lines] == [
        "capitals",
        "questions",
    ]
    assert json.loads(seqserve("models", "--json", "--task", "classify").out)["name"] == "questions"


def test_an_unknown_model_is_a_failure_with_the_server_s_words(seqserve: Seqserve) -> None:
    ran = seqserve("models", "nope")
    assert (ran.code, ran.out, ran.err) == (1, "", "seqserve: no model 'nope'; there are others\n")


def test_where_no_server_answers_it_says_how_to_start_one(bare: Seqserve) -> None:
    ran = bare("translate", "hola")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "seqserve: no server answers at 127.0.0.1:1; start one with: seqserve serve\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("bogus",),
        ("translate", "--beam", "many"),
        ("translate", "--file", "/there/is/no/such"),
        ("translate", "--file", "/"),
        ("translate", "--errors", "hide"),
        ("serve", "--port", "70000"),
        ("serve", "--log-format", "xml"),
        ("evaluate",),
    ],
)
def test_a_wrong_command_line_is_two_lines_at_most_and_code_2(
    bare: Seqserve, arguments: tuple[str, ...]
) -> None:
    ran = bare(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("seqserve: ")
    assert ran.err.count("\n") <= 2


def test_without_a_command_it_lists_them(bare: Seqserve) -> None:
    ran = bare()
    assert ran.code == 0
    assert all(f" {command} " in ran.out for command in COMMANDS)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("train", "export", "version")])
def test_every_command_has_help_with_an_example(bare: Seqserve, command: str) -> None:
    ran = bare(command, "--help")
    assert ran.code == 0
    assert f"\n seqserve {command}" in ran.out


@pytest.mark.parametrize("arguments", [("version",), ("--version",)])
def test_the_version_is_told(bare: Seqserve, arguments: tuple[str, ...]) -> None:
    ran = bare(*arguments)
    assert ran.code == 0
    assert ran.out.startswith("seqserve ")


def test_training_is_handed_on_with_its_own_help(bare: Seqserve) -> None:
    ran = bare("train", "--help")
    assert ran.code == 0
    assert "Train a model from a recipe" in ran.out
    assert "--max-minutes" in ran.out


def test_without_torch_training_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')")
    process = Process()
    process.environment["PYTHONPATH"] = f"{tmp_path}:{process.environment['PYTHONPATH']}"
    recipe = ROOT / "training" / "recipes" / "snips-intents.toml"
    ran = process("train", str(recipe), "--data", ".", "--out", str(tmp_path))
    assert ran.code == 1
    assert ran.err.endswith("pip install 'seqserve[train]'\n")
    assert ran.err.count("\n") == 1


def test_help_is_fast_because_it_imports_neither_grpc_nor_the_server() -> None:
    code = "import sys, service.cli.app; print('grpc' in sys.modules, 'service.server' in sys.modules)"
    environment = Process().environment
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert printed.stdout == "False False\n"


def test_the_server_is_asked_at_the_address_of_the_flag(
    bare: Seqserve, address: str, fake: FakeService
) -> None:
    assert bare("models", "--address", address).code == 0
    assert fake.requests


def test_the_module_is_the_command() -> None:
    assert Process()("version").out == Process()("--version").out != ""
