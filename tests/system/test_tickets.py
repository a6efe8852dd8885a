"""A client takes a ticket, its server is killed, and one that never heard of the session goes on from it."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.client import AsyncClient, Client, NotPossible, Output, SessionNotFound, Translation
from tests.service.cli.process import Process
from tests.system.conftest import Running, serving
from tests.system.replicas.chaos import write_models
from tests.system.replicas.talkers import CLASSIFIER, TRANSLATOR, WORDS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HALF = len(WORDS) // 2
Said = tuple[list[Output], Translation]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    return folder


@pytest.fixture
def server(tmp_path: Path, models: Path) -> "Callable[[], Any]":
    """Starts a server that has the key of the others and no store."""
    keys = tmp_path / "keys"
    keys.write_text(f"k1:{base64.b64encode(bytes(range(32))).decode()}\n")
    keys.chmod(0o600)
    config = tmp_path / "seqserve.toml"
    config.write_text(f'[keys]\nsnapshot_keys_file = "{keys}"\n')

    @contextmanager
    def start() -> Iterator[Running]:
        with serving(models, "--config", str(config)) as running:
            yield running

    return start


def test_a_session_goes_on_from_its_ticket_after_its_server_was_killed(server: Any) -> None:
    with server() as first, Client(first.address, timeout=60) as client:
        whole = _whole(client)
        session = client.session(model=TRANSLATOR)
        said = [session.feed(f"{word} ") for word in WORDS[:HALF]]
        ticket = session.ticket(ttl_s=600).data
        first.process.kill()
    with server() as second, Client(second.address, timeout=60) as client:
        with pytest.raises(SessionNotFound):
            client.resume(session.session_id)
        with client.resume(ticket) as resumed:
            assert resumed.session_id == session.session_id
            said += [resumed.feed(f"{word} ") for word in WORDS[HALF:]]
            assert (said, resumed.generate().finish()) == whole


def test_the_async_client_does_the_same(server: Any) -> None:
    async def before(address: str) -> tuple[list[Output], bytes]:
        async with AsyncClient(address, timeout=60) as client:
            session = await client.session(model=TRANSLATOR).__aenter__()
            said = [await session.feed(f"{word} ") for word in WORDS[:HALF]]
            ticket = await session.ticket()
            session.detach()
            return said, ticket.data

    async def after(address: str, ticket: bytes) -> Said:
        async with AsyncClient(address, timeout=60) as client, client.resume(ticket) as session:
            said = [await session.feed(f"{word} ") for word in WORDS[HALF:]]
            return said, await session.generate().finish()

    with server() as first:
        with Client(first.address, timeout=60) as client:
            whole = _whole(client)
        said, ticket = asyncio.run(before(first.address))
        first.process.kill()
    with server() as second:
        rest, written = asyncio.run(after(second.address, ticket))
    assert (said + rest, written) == whole


def test_a_ticket_that_was_used_is_no_way_back(server: Any) -> None:
    with server() as first, Client(first.address, timeout=60) as client:
        session = client.session(model=CLASSIFIER)
        session.feed("el gato ")
        ticket = session.ticket()
        first.process.kill()
    with server() as second, Client(second.address, timeout=60) as client:
        with client.resume(ticket) as resumed:
            resumed.feed("duerme ")
            with pytest.raises(NotPossible, match="gone on"):
                client.resume(ticket)
            assert resumed.feed("en ").input_position
        with pytest.raises(NotPossible, match="closed"):
            client.resume(ticket)


def test_a_session_that_came_from_a_ticket_is_listed_and_closed_on_the_command_line(server: Any) -> None:
    with server() as first, Client(first.address, timeout=60) as client:
        session = client.session(model=CLASSIFIER)
        session.feed("el gato ")
        ticket = session.ticket()
        first.process.kill()
    with server() as second, Client(second.address, timeout=60) as client:
        seqserve = Process(second.address)
        assert seqserve("sessions", "--json").out == ""
        client.resume(ticket).detach()
        [listed] = [json.loads(line) for line in seqserve("sessions", "--json").lines]
        assert (listed["session_id"], listed["num_turns"]) == (session.session_id, 1)
        assert seqserve("sessions", "--close", session.session_id).code == 0
        assert seqserve("sessions", "--json").out == ""


def _whole(client: Client) -> Said:
    """What a session says that nobody disturbs."""
    with client.session(model=TRANSLATOR) as session:
        said = [session.feed(f"{word} ") for word in WORDS]
        return said, session.generate().finish()
