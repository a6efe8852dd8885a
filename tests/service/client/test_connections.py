"""Several connections to one address, each of which may lead to another worker."""

from typing import Any

import pytest

from service.client import InvalidRequest
from tests.fakes.fake_service import FakeService, served
from tests.service.client.conftest import Connect


class Met(FakeService):
    """Remembers by which connections it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.talked: list[str] = []

    def ListModels(self, request: Any, context: Any) -> Any:
        self.asked.append(context.peer())
        return super().ListModels(request, context)

    def Session(self, requests: Any, context: Any) -> Any:
        self.talked.append(context.peer())
        return super().Session(requests, context)


def test_requests_and_sessions_take_the_connections_in_turn(connect: Connect) -> None:
    met = Met()
    with served(met) as address, connect(address, timeout=20, connections=3) as client:
        for _ in range(6):
            client.models()
        for _ in range(3):
            with client.session() as session:
                session.feed("uno ")
    assert met.asked[:3] == met.asked[3:]
    assert len(set(met.asked)) == len(set(met.talked)) == 3


def test_a_client_has_one_connection_where_it_does_not_say(connect: Connect) -> None:
    met = Met()
    with served(met) as address, connect(address, timeout=20) as client, connect(address) as other:
        for _ in range(3):
            client.models()
            other.models()
    assert len(set(met.asked)) == 1


def test_where_one_of_several_addresses_is_not_there_the_other_is_asked_by_every_connection(
    connect: Connect,
) -> None:
    met = Met()
    with (
        served(met) as address,
        connect(["127.0.0.1:1", address], timeout=20, max_attempts=1, connections=2) as client,
    ):
        for _ in range(4):
            assert client.models()
    assert len(set(met.asked)) == 2


@pytest.mark.parametrize("connections", [0, 257])
def test_so_many_connections_are_refused(connect: Connect, connections: int) -> None:
    with pytest.raises(InvalidRequest, match=f"connections is {connections}; 1 to 256"):
        connect("127.0.0.1:1", connections=connections)
