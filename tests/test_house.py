"""The house keeps its promises: what is installed, what is shipped, which commands there are."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Missing

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT: dict[str, Any] = tomllib.loads(PYPROJECT)["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROTOS = sorted((ROOT / "protos").glob("seqserve/**/*.proto"))

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
import service
for module in pkgutil.walk_packages(service.__path__, "service."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


# What is installed


def test_importing_the_whole_service_loads_nothing_that_only_training_needs() -> None:
    loaded = set(run(sys.executable, "-c", IMPORT_EVERYTHING).split())
    assert "service" in loaded
    assert not loaded & {"torch", "training", "onnx", "tensorboard", "sacrebleu"}


def test_serving_depends_on_nothing_that_only_training_needs() -> None:
    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[^A-Za-z0-9-]", requirement)[0] for requirement in requirements}

    serving, training = names(PROJECT["dependencies"]), names(PROJECT["optional-dependencies"]["train"])
    assert not serving & training


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder))
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_the_wheel_holds_every_package_with_its_wire_code_and_type_information(
    wheel: zipfile.ZipFile,
) -> None:
    names = set(wheel.namelist())
    for package in ("service", "training"):
        assert not {str(path.relative_to(ROOT)) for path in (ROOT / package).glob("**/*.py")} - names
    assert {"service/py.typed", "training/py.typed", "seqserve/py.typed"} <= names
    assert {f"seqserve/{proto.parent.name}/{proto.stem}_pb2.py" for proto in PROTOS} <= names


def test_the_wheel_holds_the_recipes_and_the_licence(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {f"training/recipes/{path.name}" for path in (ROOT / "training/recipes").glob("*.toml")} <= names
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_wheel_holds_neither_tests_nor_models(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info" not in name}
    assert tops == {"service", "training", "seqserve"}


def test_the_licence_is_apache_2_and_the_package_says_so() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert PROJECT["license"] == "Apache-2.0"


# The wire code


@pytest.mark.parametrize("proto", PROTOS, ids=lambda path: path.stem)
def test_each_proto_has_its_generated_code_beside_it(proto: Path) -> None:
    text = proto.read_text(encoding="utf-8")
    kinds = ["_pb2", "_pb2_grpc"] if re.search(r"^service ", text, re.MULTILINE) else ["_pb2"]
    for kind in kinds:
        for ending in (".py", ".pyi"):
            assert proto.with_name(proto.stem + kind + ending).exists(), "run: make protos"


@pytest.mark.parametrize("proto", PROTOS, ids=lambda path: path.stem)
def test_each_message_of_a_proto_is_in_its_generated_code(proto: Path) -> None:
    stub = proto.with_name(proto.stem + "_pb2.pyi").read_text(encoding="utf-8")
    for name in re.findall(r"^(?:message|enum) (\w+)", proto.read_text(encoding="utf-8"), re.MULTILINE):
        assert re.search(rf"^class _?{name}\b", stub, re.MULTILINE), f"{name}: run: make protos"


def test_generated_code_is_marked_as_generated(missing: Missing) -> None:
    if not (ROOT / ".git").exists():
        missing("the git history")
    files = [
        str(path) for pattern in ("*_pb2*.py", "*_pb2*.pyi") for path in ROOT.glob(f"protos/**/{pattern}")
    ]
    answers = run("git", "check-attr", "linguist-generated", *files).splitlines()
    assert len(answers) == len(files)
    assert all(answer.endswith(": set") for answer in answers)


# The commands


def test_every_make_command_is_listed_by_help() -> None:
    phony = set(re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split())
    steps_of_check = {name for name in phony if name.startswith("check-")}
    listed = set(re.findall(r"^  ([a-z-]+) ", make("help").stdout, re.MULTILINE))
    assert listed == phony - steps_of_check


def test_make_serve_says_which_python_it_needs(tmp_path: Path) -> None:
    old_python = tmp_path / "python3.9"
    old_python.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.1 && exit 0\nexit 1\n')
    old_python.chmod(0o755)
    answer = make("serve", f"VENV={tmp_path}/venv", f"PYTHON={old_python}")
    assert answer.returncode != 0
    assert "needs Python 3.11 or newer" in answer.stderr
    assert "Python 3.9.1" in answer.stderr
    assert "make serve PYTHON=python3.12" in answer.stderr


def test_make_installs_once(tmp_path: Path) -> None:
    assert "pip install" in make("--dry-run", "serve", f"VENV={tmp_path}").stdout
    (tmp_path / ".ready-to-serve").touch()
    assert "pip install" not in make("--dry-run", "serve", f"VENV={tmp_path}").stdout
    assert (
        "[train,redis,otel,pictures,datasets,bench,dev,fuzz]"
        in make("--dry-run", "test", f"VENV={tmp_path}").stdout
    )


def test_every_make_command_in_the_readme_exists() -> None:
    phony = set(re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split())
    assert set(re.findall(r"^\s*(?:\$ )?make ([a-z-]+)", README, re.MULTILINE)) <= phony


def test_every_seqserve_command_in_the_readme_exists() -> None:
    lines = re.findall(r"^\s*(?:\$ )?(?:\.venv/bin/)?seqserve ([a-z]+)\b", code_blocks(README), re.MULTILINE)
    for command in sorted(set(lines)):
        run(sys.executable, "-m", "service", command, "--help")


def test_ci_runs_the_checks_and_the_tests() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert {"make check", "make test"} <= set(script.splitlines())


# The papers


def test_every_ignored_lint_rule_and_type_check_carries_its_reason() -> None:
    ignored = re.findall(r"^ignore = \[\n(.*?)^\]", PYPROJECT, re.MULTILINE | re.DOTALL)[0]
    assert all(" # " in line for line in ignored.splitlines())


def test_the_changelog_knows_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {PROJECT['version']}" in changelog or "## Unreleased" in changelog


def test_every_decision_is_numbered_dated_and_listed() -> None:
    folder = ROOT / "docs/decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    records = sorted(folder.glob("[0-9]*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        assert re.search(r"^(Accepted|Superseded by .+), \d{4}-\d\d-\d\d$", path.read_text(), re.MULTILINE), (
            path.name
        )
        assert f"]({path.name})" in index


def code_blocks(markdown: str) -> str:
    return "\n".join(re.findall(r"^```\w*\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL))


def run(*command: str) -> str:
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, f"{' '.join(command)}\n{answer.stdout}{answer.stderr}"
    return answer.stdout


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as a person would, without what an outer `make test` passes down."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
