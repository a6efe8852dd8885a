import asyncio
from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from service.client import Client
from tests.fakes.fake_service import FakeService, served
from tests.service.client.blocking import blocking


class Connect(Protocol):
    """Makes a client of the kind under test; both kinds have one face here."""

    def __call__(self, address: str | list[str], **settings: Any) -> Client: ...


@pytest.fixture
def fake() -> FakeService:
    return FakeService()


@pytest.fixture
def address(fake: FakeService) -> Iterator[str]:
    with served(fake) as address:
        yield address


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    with asyncio.Runner() as runner:

        def make(address: str | list[str], **settings: Any) -> Any:
            if request.param == "sync":
                return Client(address, **settings)
            return blocking(address, runner, **settings)

        yield make


@pytest.fixture
def client(address: str, connect: Connect) -> Iterator[Client]:
    with connect(address, timeout=20, max_texts=3, max_under_way=2) as client:
        yield client
