"""What is shipped: the audit says what it does not know, and the list of parts holds them all."""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.service.cli.process import ROOT

GOOD = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
UNASKED = {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c (3)"}


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "requirements" / "audit.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answering(monkeypatch: pytest.MonkeyPatch, *answers: Sequence[dict[str, Any]] | str) -> None:
    """The auditor answers thus, call by call, the last for ever; a text is what it says when it fails."""
    left = list(answers)

    def run(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, str):
            return subprocess.CompletedProcess(command, 1, "", f"Traceback\n{answer}\n")
        return subprocess.CompletedProcess(command, 0, json.dumps({"dependencies": answer}), "No known …")

    monkeypatch.setattr(subprocess, "run", run)


@pytest.mark.parametrize(
    ("answers", "code", "says"),
    [
        ([[GOOD, GOOD]], 0, "2 packages, no known vulnerability"),
        ([[GOOD, BAD]], 1, "b 2 has CVE-1; fixed in 3"),
        ([[GOOD, UNASKED]], 3, "NOT AUDITED are 1 of 2 packages"),
        ([[BAD, UNASKED]], 1, "NOT AUDITED are 1 of 2 packages"),
        (["could not resolve host"], 3, "NOT AUDITED, nothing is known: nobody answered"),
        ([[]], 3, "NOT AUDITED, nothing is known"),
        ([[UNASKED], [GOOD]], 0, "no known vulnerability"),
    ],
)
def test_the_audit_says_what_it_found_and_what_it_does_not_know(
    audit: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answers: list[Any],
    code: int,
    says: str,
) -> None:
    answering(monkeypatch, *answers)
    monkeypatch.setattr(audit, "LOCKS", ("serve",))
    assert audit.main([]) == code
    assert says in capsys.readouterr().out


def test_where_nobody_answers_it_may_be_allowed_but_a_vulnerability_may_not(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, [UNASKED])
    assert audit.main(["--allow-unreachable"]) == 0
    assert "NOT AUDITED" in capsys.readouterr().out
    answering(monkeypatch, [BAD])
    assert audit.main(["--allow-unreachable"]) == 1


def test_the_list_of_parts_names_every_locked_package_with_its_hashes(tmp_path: Path) -> None:
    file = tmp_path / "sbom.json"
    command = (sys.executable, "requirements/sbom.py", str(file))
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    bom = json.loads(file.read_text())
    assert (bom["bomFormat"], bom["metadata"]["component"]["name"]) == ("CycloneDX", "seqserve")
    text = (ROOT / "requirements" / "serve.txt").read_text()
    locked = {name.lower() for name in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}
    parts = {part["name"].lower(): part for part in bom["components"]}
    assert parts.keys() == locked
    for part in parts.values():
        assert any(reference.get("hashes") for reference in part["externalReferences"]), part["name"]


def test_the_list_of_parts_is_the_same_each_time(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        command = (sys.executable, "requirements/sbom.py", str(tmp_path / name))
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]
