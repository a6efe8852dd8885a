import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.client import Client
from tests.fakes.ports import free_port
from tests.service.cli.process import Process

READY = re.compile(r"serves \d+ models on (\S+)")


@dataclass
class Running:
    """A `seqserve serve` of its own."""

    process: "subprocess.Popen[bytes]"
    address: str
    metrics_port: int

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30) as page:
            text = page.read().decode()
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


@contextmanager
def serving(models: Path, *flags: str) -> Iterator[Running]:
    """Serve a folder on a free port until the block ends."""
    metrics_port = free_port()
    arguments = ("serve", "--models", str(models), "--port", "0", "--metrics-port", str(metrics_port), *flags)
    process = Process().start(*arguments, stderr=subprocess.DEVNULL)
    try:
        yield Running(process, _address(process), metrics_port)
    finally:
        process.kill()
        process.communicate()


def _address(process: "subprocess.Popen[bytes]") -> str:
    assert process.stdout
    for line in process.stdout:
        if ready := READY.search(line.decode()):
            return ready[1]
    raise AssertionError("the server ended before it was ready")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.bundles import write_classifier, write_translator  # torch takes a moment to import

    folder = tmp_path_factory.mktemp("models")
    write_translator(folder)
    write_classifier(folder)
    return folder


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A translator that may write long texts."""
    from tests.bundles import write_translator  # torch takes a moment to import

    folder = tmp_path_factory.mktemp("endless")
    write_translator(folder, export={"max_length": 5000})
    return folder


@pytest.fixture(scope="session")
def running(models: Path) -> Iterator[Running]:
    with serving(models) as running:
        yield running


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    with Client(running.address, timeout=100) as client:
        yield client
