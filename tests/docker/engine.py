"""Words for the Docker engine."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
IMAGE, BASE = "seqserve:test", "python:3.11-slim-bookworm"


def docker(*arguments: str, check: bool = True) -> str:
    """What the command printed; an AssertionError says what it complained of."""
    done = subprocess.run(("docker", *arguments), capture_output=True, text=True)
    assert done.returncode == 0 or not check, f"docker {' '.join(arguments)}\n{done.stdout}{done.stderr}"
    return (done.stdout + (done.stderr if arguments[0] == "logs" else "")).strip()


def runs() -> bool:
    """Whether there is an engine that answers."""
    return bool(shutil.which("docker") and docker("info", "--format", "{{.ServerVersion}}", check=False))


def has(image: str) -> bool:
    """Whether the image is here, or can be had."""
    known = docker("image", "inspect", "--format", "{{.Id}}", image, check=False)
    return bool(known or docker("pull", "--quiet", image, check=False))


def build() -> None:
    """The image of this checkout, as a user builds it."""
    docker("build", "--network=host", "--quiet", "--tag", IMAGE, str(ROOT))


def look(what: str) -> dict[str, Any]:
    """All that is known of a container or an image."""
    [found] = json.loads(docker("inspect", what))
    return dict(found)


def kill(container: str) -> None:
    """kill -9 of its process, from outside: a crash, to Docker, after which it starts the container again."""
    os.kill(look(container)["State"]["Pid"], signal.SIGKILL)
