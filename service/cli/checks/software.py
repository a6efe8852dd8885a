"""Which packages are installed, and whether their versions fit together."""

import platform
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

from service.cli.checks.finding import Finding, problem
from service.cli.version import number

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"
OLDEST_PYTHON = (3, 11)
SHOWN = ("onnxruntime", "grpcio", "protobuf", "tokenizers", "cryptography")
"""The others are told of where they do not fit."""
EXTRAS = ("redis", "train")


def software() -> Iterator[Finding]:
    yield Finding("seqserve", number(), facts={"version": number()})
    yield _python()
    wanted = requirements()
    yield from _packages([one for one in wanted if not _extra(one)])
    yield from _extras(wanted)
    yield _wire()


def requirements() -> list[Requirement]:
    """What seqserve asks for: as its checkout says, or as it was installed. Extras carry a marker."""
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"] if PYPROJECT.exists() else {}
    if project.get("name") == "seqserve":
        extras = project["optional-dependencies"].items()
        marked = [f"{one.partition(';')[0]}; extra == '{name}'" for name, all in extras for one in all]
        return [Requirement(line) for line in [*project["dependencies"], *marked]]
    return [Requirement(line) for line in metadata.requires("seqserve") or ()]


def misfit(requirement: Requirement) -> str:
    """Why an installed package is not what is asked for; empty where it is."""
    found = installed(requirement.name)
    if not found:
        return f"{requirement.name} is not installed"
    if not requirement.specifier.contains(found, prereleases=True):
        return f"{requirement.name} {found} is not {requirement.specifier}"
    return ""


def installed(name: str) -> str:
    """The version of a package, which is not imported; empty where there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _python() -> Finding:
    text = f"{platform.python_version()} ({sys.executable})"
    facts = {"version": platform.python_version(), "executable": sys.executable}
    if sys.version_info < OLDEST_PYTHON:
        return problem("python", text, "install Python 3.11 or newer", **facts)
    return Finding("python", text, facts=facts)


def _packages(wanted: list[Requirement]) -> Iterator[Finding]:
    versions = {one.name: installed(one.name) for one in wanted}
    text = ", ".join(f"{name} {versions[name]}" for name in SHOWN if versions.get(name))
    yield Finding("packages", text or "none", facts={"versions": versions})
    for one in wanted:
        if reason := misfit(one):
            yield problem(one.name, reason, f"pip install '{one.name}{one.specifier}'")
        for other in _needs(one.name):
            if reason := misfit(other):
                both = f"'{one.name}{one.specifier}' '{other.name}{other.specifier}'"
                yield problem(one.name, f"{reason}, which {one.name} needs", f"pip install {both}")


def _needs(name: str) -> list[Requirement]:
    """What an installed package asks of others, here and without extras."""
    if not installed(name):
        return []
    found = map(Requirement, metadata.requires(name) or ())
    return [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]


def _extras(wanted: list[Requirement]) -> Iterator[Finding]:
    for extra in EXTRAS:
        asked = [one for one in wanted if _extra(one) == extra]
        lacking = [reason for one in asked if (reason := misfit(one))]
        versions = {one.name: installed(one.name) for one in asked}
        there = ", ".join(f"{name} {version}" for name, version in versions.items())
        text = f"not there ({'; '.join(lacking)}): pip install 'seqserve[{extra}]'" if lacking else there
        yield Finding(f"extra {extra}", text, facts={"complete": not lacking, "versions": versions})
    torch = find_spec("torch") is not None
    yield Finding(
        "torch", f"{'there' if torch else 'not there'}; serving does not use it", facts={"there": torch}
    )


def _extra(requirement: Requirement) -> str:
    """The extra that a requirement belongs to; empty: it is always needed."""
    found = re.search(r"extra == ['\"]([\w-]+)['\"]", str(requirement.marker or ""))
    return found[1] if found else ""


def _wire() -> Finding:
    """Import the generated code, which itself refuses a protobuf or a gRPC that is too old for it."""
    try:
        from seqserve.v1 import model_pb2_grpc, sequence_pb2_grpc, session_pb2_grpc  # noqa: F401
    except Exception as error:  # each of them raises errors of its own
        said = str(error).splitlines()[0] if str(error) else repr(error)
        return problem(
            "wire code",
            f"cannot be loaded: {said}",
            "pip install --upgrade 'grpcio>=1.73.1' 'protobuf>=6.31.1,<8'",
        )
    return Finding("wire code", "loads with this gRPC and this protobuf")
