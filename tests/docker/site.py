"""The site of deploy/compose.yaml: its very file, with ports and models of the test."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from service.client import Client, ClientError
from tests.docker.engine import IMAGE, ROOT, docker, look
from tests.fakes.ports import free_port

FILE = ROOT / "deploy" / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
REPLICAS = ("seqserve-0", "seqserve-1", "seqserve-2")
PATIENCE_S = 120.0


@dataclass
class Site:
    """`docker-compose` of a project of its own."""

    override: Path
    project: str = field(default_factory=lambda: f"seqserve-test-{os.getpid()}")
    port: int = field(default_factory=free_port)
    prometheus_port: int = field(default_factory=free_port)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def compose(self, *arguments: str) -> str:
        settings = {
            "SEQSERVE_IMAGE": IMAGE,
            "SEQSERVE_PORT": str(self.port),
            "PROMETHEUS_PORT": str(self.prometheus_port),
            "COMPOSE_PROJECT_NAME": self.project,
        }
        files = ("-f", str(FILE), "-f", str(self.override))
        command = ("docker-compose", *files, *arguments)
        done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def container(self, service: str) -> str:
        return self.compose("ps", "--quiet", service)

    def wait_healthy(self, services: Sequence[str] = REPLICAS) -> None:
        """Return when the health checks of these containers say so."""
        end = time.monotonic() + PATIENCE_S
        for service in services:
            while look(self.container(service))["State"]["Health"]["Status"] != "healthy":
                assert time.monotonic() < end, docker("logs", "--tail", "20", self.container(service))
                time.sleep(0.5)

    def wait_reachable(self) -> None:
        """Return when calls come through the proxy."""
        end = time.monotonic() + PATIENCE_S
        with Client(self.address, timeout=5) as client:
            while True:
                try:
                    assert client.models()
                    return
                except ClientError:
                    assert time.monotonic() < end, docker("logs", "--tail", "20", self.container("envoy"))
                    time.sleep(0.5)

    def replace(self, service: str) -> float:
        """SIGTERM, and when it has ended a new container in its place: `up --force-recreate`. How long it took."""
        began = time.monotonic()
        self.compose("up", "-d", "--no-deps", "--no-build", "--force-recreate", service)
        self.wait_healthy([service])
        return time.monotonic() - began


@contextmanager
def site(folder: Path, services: Sequence[str], models: Path | None = None) -> Iterator[Site]:
    """These services, up and healthy; with the models of the image, or others."""
    override = folder / "override.yaml"
    volumes = [f"{readable(models)}:/srv/seqserve/models:ro"] if models else []
    override.write_text(yaml.safe_dump({"services": {name: {"volumes": volumes} for name in REPLICAS}}))
    at = Site(override)
    try:
        at.compose("up", "-d", "--no-build", *services)
        at.wait_healthy()
        at.wait_reachable()
        yield at
    finally:
        at.compose("down", "--volumes", "--timeout", "5")


def readable(folder: Path) -> Path:
    """So that the container's user may read what the tests' user wrote."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder
