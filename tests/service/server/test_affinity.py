"""Several servers, a client with all their addresses: who comes first for a session, and who when that one is away."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from seqserve.v1 import session_pb2
from service.client import AsyncClient
from tests.fakes.toy_server import Toys, serve_toys
from tests.fakes.wire import Talk, model

Site = list[Toys]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Three servers that share a store."""
    store = {"kind": "sqlite", "path": str(tmp_path / "sessions.sqlite"), "timeout_s": 30.0}
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(serve_toys(tmp_path / secrets.token_hex(4), store=store))
            for _ in range(3)
        ]


def client_of(servers: Site) -> AsyncClient:
    return AsyncClient([one.server.address for one in servers], timeout=60, patience=60)


async def holder(site: Site, session_id: str) -> Toys:
    """The server on which a stream holds the session."""
    asked = session_pb2.DescribeSessionRequest(session_id=session_id)
    found = [(one, (await one.sessions.DescribeSession(asked)).session.tier) for one in site]
    [holder] = [one for one, tier in found if tier == session_pb2.SESSION_TIER_ACTIVE]
    return holder


async def test_two_clients_of_a_session_come_to_the_same_server(site: Site) -> None:
    used = []
    async with client_of(site) as here, client_of(site[::-1]) as there:
        for _ in range(16):
            async with here.session(model="toy-es-en") as session:
                await session.feed("uno ")
                at = await holder(site, session.session_id)
                session.detach()
                async with there.resume(session.session_id) as taken:
                    await taken.feed("dos ")
                    assert await holder(site, session.session_id) is at
                used.append(at)
    assert len({id(at) for at in used}) > 1


async def test_a_fork_is_held_where_its_session_is(site: Site) -> None:
    async with client_of(site) as client:
        for _ in range(8):
            session = client.session(model="toy-es-en", durability="none")
            async with session, await session.fork() as fork:
                here, there = [await holder_of_one(site, one.session_id) for one in (session, fork)]
                assert here is there


async def holder_of_one(site: Site, session_id: str) -> Toys:
    """The only server that knows a session that is in no store."""
    listings = [(one, await one.sessions.ListSessions(session_pb2.ListSessionsRequest())) for one in site]
    [found] = [one for one, listed in listings if session_id in {s.session_id for s in listed.sessions}]
    return found


async def test_while_that_server_is_away_both_come_to_the_same_other_one(site: Site) -> None:
    async with (
        client_of(site) as here,
        client_of(site[::-1]) as there,
        here.session(model="toy-es-en", durability="every step") as session,
    ):
        await session.feed("uno ")
        away = await holder(site, session.session_id)
        await away.server.drain()
        left = [one for one in site if one is not away]
        await session.feed("dos ")
        at = await holder(left, session.session_id)
        session.detach()
        async with there.resume(session.session_id) as taken:
            await taken.feed("tres ")
            assert await holder(left, session.session_id) is at
            assert (await taken.generate().finish()).text == "one two three"


@pytest.mark.parametrize(
    ("sent", "stands"),
    [("k3y", "k3y"), ("a" * 16, "a" * 16), ("a" * 17, ""), ("a.b", ""), ("a b", ""), ("", "")],
)
async def test_the_key_that_a_client_sends_stands_in_the_id(site: Site, sent: str, stands: str) -> None:
    metadata: Any = (("seqserve-session", sent),) if sent else ()
    ids = []
    for _ in range(2):
        call = site[0].sequence.Session(metadata=metadata)
        opened = await Talk(call).say(open=session_pb2.Open(model=model()))
        forked = await Talk(call).say(fork=session_pb2.Fork())
        ids += [opened.session_id, forked.session_id]
        call.cancel()
    heads, secret = {one.rpartition(".")[0] for one in ids}, {one.rpartition(".")[2] for one in ids}
    assert heads == {stands}
    assert len(secret) == 4
    assert all(len(one) == 24 for one in secret)
