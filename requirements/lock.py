"""Writes down what an image installs, exactly: every package that serving needs, with its version and hashes.

`python requirements/lock.py` resolves anew (it asks the package index); `--check` tells, without a network, whether
the files still fit pyproject.toml.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
OLDEST_PYTHON = PYPROJECT["project"]["requires-python"].removeprefix(">=")
PIN = re.compile(
    r"^([A-Za-z0-9._-]+)==([^\s;]+)(?: ; (.*?))?((?: \\\n    --hash=sha256:[0-9a-f]{64})*)$", re.MULTILINE
)


class Lock(NamedTuple):
    """One file of pins."""

    name: str
    extras: tuple[str, ...] = ()
    builds: bool = False
    """It holds what builds the package, not what the package needs."""
    without: tuple[str, ...] = ()
    """What another package stands in for."""


LOCKS = (
    Lock("serve", ("redis", "otel")),
    Lock("serve-gpu", ("redis", "otel", "gpu"), without=("onnxruntime",)),
    Lock("build", builds=True),
)


def main() -> int:
    """Write, or check; 1 when a check finds a difference."""
    if "--check" not in sys.argv:
        for lock in LOCKS:
            write(lock)
        return 0
    differences = [f"requirements/{lock.name}.txt: {what}" for lock in LOCKS for what in differing(lock)]
    for difference in differences:
        print(f"{difference}; run `make lock`")
    return int(bool(differences))


def write(lock: Lock) -> None:
    """Resolve for all platforms; the file says how it came to be, and names no index."""
    options = ("--universal", "--generate-hashes", "--no-emit-index-url", "--no-annotate", "--quiet")
    versions = ("--python-version", OLDEST_PYTHON, "--custom-compile-command", "make lock", *sys.argv[1:])
    target = ("--output-file", f"requirements/{lock.name}.txt")
    command = (sys.executable, "-m", "uv", "pip", "compile", "-", *options, *versions, *target)
    wanted = "\n".join(map(str, wanted_by(lock)))
    subprocess.run(command, input=wanted, cwd=ROOT, check=True, text=True)


def differing(lock: Lock) -> Iterator[str]:
    """What pyproject.toml asks for and the file does not give, and pins without hashes."""
    text = (ROOT / "requirements" / f"{lock.name}.txt").read_text("utf-8")
    pins: dict[str, list[str]] = {}
    for name, version, _, hashes in PIN.findall(text):
        pins.setdefault(canonicalize_name(name), []).append(version)
        if not hashes:
            yield f"{name} has no hash"
    for wanted in wanted_by(lock):
        versions = pins.get(canonicalize_name(wanted.name))
        if not versions:
            yield f"{wanted.name} is missing"
        for version in versions or ():
            if not wanted.specifier.contains(version, prereleases=True):
                yield f"{wanted.name} is {version}, not {wanted.specifier}"


def wanted_by(lock: Lock) -> list[Requirement]:
    """What the file has to give, as pyproject.toml says it."""
    project = PYPROJECT["project"]
    texts = PYPROJECT["build-system"]["requires"] if lock.builds else [*project["dependencies"]]
    for extra in lock.extras:
        texts += project["optional-dependencies"][extra]
    return [wanted for wanted in map(Requirement, texts) if wanted.name not in lock.without]


if __name__ == "__main__":
    sys.exit(main())
