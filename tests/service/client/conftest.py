import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

from service.client import Client
from tests.fakes.fake_service import FakeService, served
from tests.fakes.multiplexing import fronts
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


@pytest.fixture(scope="session")
def front() -> Iterator[Callable[[str], str]]:
    with fronts() as front:
        yield front


MULTIPLEXED = pytest.mark.parametrize("connect", ["sync", "async", "multiplexed"], indirect=True)
"""For modules whose calls are streams: also by a client whose streams share one."""


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest, front: Callable[[str], str]) -> Iterator[Connect]:
    with asyncio.Runner() as runner:

        def make(address: str | list[str], **settings: Any) -> Any:
            if request.param == "sync":
                return Client(address, **settings)
            if request.param == "multiplexed":
                several = address if isinstance(address, list) else address.split(",")
                address = [front(one) for one in several]
                settings["multiplex"] = True
            return blocking(address, runner, **settings)

        yield make


@pytest.fixture
def client(address: str, connect: Connect) -> Iterator[Client]:
    with connect(address, timeout=20, max_texts=3, max_under_way=2) as client:
        yield client
