import os
import tempfile
from collections.abc import Iterator
from typing import Protocol

import pytest

from service.cli.run import run
from tests.fakes.fake_service import FakeService, served
from tests.service.cli.process import Process, Ran


class Seqserve(Protocol):
    """Runs one command line in this process; without a server's address there is no server."""

    def __call__(self, *arguments: str | bytes, stdin: bytes = b"") -> Ran: ...


@pytest.fixture
def fake() -> FakeService:
    return FakeService()


@pytest.fixture
def address(fake: FakeService) -> Iterator[str]:
    with served(fake) as address:
        yield address


@pytest.fixture
def process(address: str) -> Process:
    return Process(address)


@pytest.fixture
def bare(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Seqserve:
    monkeypatch.setenv("SEQSERVE_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: str | bytes, stdin: bytes = b"") -> Ran:
        capfd.readouterr()
        with piped(stdin):
            code = run([os.fsdecode(argument) for argument in arguments])
        return Ran(code, *capfd.readouterr())

    return call


@pytest.fixture
def seqserve(bare: Seqserve, address: str, monkeypatch: pytest.MonkeyPatch) -> Seqserve:
    monkeypatch.setenv("SEQSERVE_ADDRESS", address)
    return bare


class piped:  # noqa: N801 - a context manager
    """Has these bytes behind descriptor 0."""

    def __init__(self, stdin: bytes) -> None:
        self._bytes = stdin

    def __enter__(self) -> None:
        self._before = os.dup(0)
        with tempfile.TemporaryFile() as file:
            file.write(self._bytes)
            file.seek(0)
            os.dup2(file.fileno(), 0)

    def __exit__(self, *_: object) -> None:
        os.dup2(self._before, 0)
        os.close(self._before)
