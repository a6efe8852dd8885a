"""Several servers behind one client."""

import pytest

from service.client import Client, InvalidRequest, Unreachable
from service.client.addresses import Ways, targets
from tests.fakes.fake_service import FakeService, served
from tests.service.client.conftest import Connect

NOBODY = "127.0.0.1:1"


def test_addresses_are_a_list_or_separated_by_commas() -> None:
    assert targets("a:1, b") == targets(["a:1", "b"]) == ("a:1", "b:50051")
    assert targets("a:1,a:1") == ("a:1",)
    with pytest.raises(InvalidRequest):
        targets([])


def test_a_session_stays_where_it_is_until_it_has_to_go_elsewhere() -> None:
    ways = Ways([("one", "a:1"), ("other", "b:2")], "key.secret")
    first, address, key = ways.next(elsewhere=False)
    assert ways.next(elsewhere=False) == (first, address, "key")
    assert ways.next(elsewhere=True)[0] != first
    assert ways.next(elsewhere=True) == (first, address, key)


@pytest.mark.parametrize("addresses", [f"{NOBODY},{{}}", f"{{}},{NOBODY}"])
def test_whole_texts_go_to_whoever_is_there(address: str, connect: Connect, addresses: str) -> None:
    with connect(addresses.format(address), timeout=20, max_attempts=2) as client:
        assert client.translate("hola").text == "HOLA"
        assert client.models()
        assert [one.text for one in client.translate(["uno", "dos"])] == ["UNO", "DOS"]


def test_where_nobody_is_there_it_is_said(connect: Connect) -> None:
    with connect([NOBODY, "127.0.0.1:2"], timeout=20, max_attempts=1) as client, pytest.raises(Unreachable):
        client.translate("hola")


def test_a_session_goes_on_at_another_server_with_the_same_store(connect: Connect) -> None:
    one, other = FakeService(), FakeService()
    other.sessions.store = one.sessions.store
    with (
        served(one) as here,
        served(other) as there,
        connect([here, there], timeout=20) as client,
        client.session(durability="every step") as session,
    ):
        assert session.feed("uno ").input_position == 1
        held = one if one.sessions else other
        held.sessions.plan.extend(["crash"] * 9)
        assert session.feed("dos ").input_position == 2
        assert session.generate().finish().text == "UNO DOS"
        assert [bool(fake.sessions) for fake in (one, other)].count(True) == 1


def test_sessions_of_one_client_begin_at_different_servers(connect: Connect) -> None:
    one, other = FakeService(), FakeService()
    with served(one) as here, served(other) as there, connect([here, there], timeout=20) as client:
        open_ones: list[object] = [client.session() for _ in range(24)]
        assert len(one.sessions) + len(other.sessions) == len(open_ones)
        assert one.sessions
        assert other.sessions


def test_a_client_for_one_server_needs_no_list(address: str) -> None:
    with Client(address) as client:
        assert client.address == address
