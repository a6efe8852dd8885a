"""Triton's client and its load generator, each in an environment of its own, made on first use.

Its client wants another protobuf than the server's tests, its stubs cannot be loaded beside ours, and the load
generator travels in older wheels of the client only.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

from tests.conftest import Missing
from tests.service.cli.process import ROOT

CLIENT = ("tritonclient[grpc]==2.73.0",)
PERF_ANALYZER = ("tritonclient==2.51.0", "nvidia-cuda-runtime-cu12==12.9.79")
"""The last wheel whose binary runs with glibc 2.35, and a library that it wants; it also wants Debian's libb64-0d."""


def triton_python(missing: Missing) -> Path:
    """A Python that has tritonclient."""
    return _environment("triton-client", CLIENT, missing) / "bin" / "python"


def perf_analyzer(missing: Missing) -> tuple[Path, dict[str, str]]:
    """The binary, and the environment that it runs in."""
    folder = _environment("perf-analyzer", ("--no-deps", *PERF_ANALYZER), missing)
    binary = folder / "bin" / "perf_analyzer"
    libraries = [str(each.parent) for each in folder.glob("lib/python*/site-packages/**/libcudart.so.12")]
    path = os.pathsep.join([*libraries, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
    environment = {**os.environ, "LD_LIBRARY_PATH": path}
    binary.chmod(0o755)
    tried = subprocess.run([binary, "--version"], env=environment, capture_output=True, text=True)
    if tried.returncode:
        missing(f"what perf_analyzer needs ({tried.stderr.strip()})")
    return binary, environment


def _environment(name: str, packages: tuple[str, ...], missing: Missing) -> Path:
    folder, wanted = ROOT / "build" / name, " ".join(packages)
    stamp = folder / "stamp"
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(folder, clear=True, with_pip=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages]
        if subprocess.run(pip, stdout=sys.stderr).returncode:
            missing(f"a package index with {wanted}")
        stamp.write_text(wanted)
    return folder
