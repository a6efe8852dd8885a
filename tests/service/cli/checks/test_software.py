import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from service.cli.checks import software
from service.cli.checks.software import misfit, requirements
from tests.service.cli.process import ROOT, Process


def test_what_is_asked_for_is_what_the_project_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    always = [one for one in requirements() if one.marker is None]
    assert always == [Requirement(line) for line in project["dependencies"]]


def test_a_package_that_is_not_there_or_of_another_version_does_not_fit() -> None:
    assert misfit(Requirement("no-such-package>=1")) == "no-such-package is not installed"
    assert misfit(Requirement("numpy<1")).endswith("is not <1")
    assert misfit(Requirement("numpy>=1")) == ""


def test_a_misfit_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "requirements", lambda: [Requirement("protobuf<2")])
    problems = [one for one in software.software() if one.level == "problem"]
    assert [one.advice for one in problems] == ["pip install 'protobuf<2'"]


def test_what_an_installed_package_needs_must_fit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "requirements", lambda: [Requirement("onnxruntime>=1")])
    monkeypatch.setattr(software, "installed", lambda name: "1.0" if name == "protobuf" else "99")
    [found] = [one for one in software.software() if one.level == "problem"]
    assert "which onnxruntime needs" in found.text


def test_torch_is_not_imported() -> None:
    code = "import sys; from service.cli.checks.software import software; list(software()); "
    command = [sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"]
    assert subprocess.run(command, env=Process().environment).returncode == 0
