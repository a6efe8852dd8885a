"""Listing, describing and closing one's own sessions; tickets; owners."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from seqserve.v1 import session_pb2
from tests.fakes.toy_server import Toys, serve_toys
from tests.fakes.wire import Talk, model, refused, talking

NOBODY = session_pb2.DescribeSessionRequest(session_id="nobody")


@asynccontextmanager
async def serving(folder: Path, **pieces: Any) -> AsyncIterator[Toys]:
    """A server with a store."""
    store = {"kind": "sqlite", "path": str(folder / "sessions.sqlite"), "timeout_s": 30.0}
    async with serve_toys(folder / secrets.token_hex(4), store=store, **pieces) as toys:
        yield toys


async def ids(toys: Toys, **metadata: str) -> list[str]:
    found: list[str] = []
    token = ""
    while True:
        request = session_pb2.ListSessionsRequest(page_size=2, page_token=token)
        page = await toys.sessions.ListSessions(request, metadata=tuple(metadata.items()))
        found += [session.session_id for session in page.sessions]
        token = page.next_page_token
        if not token:
            return found


async def test_sessions_are_listed_wherever_they_are(tmp_path: Path) -> None:
    none = session_pb2.Durability(mode=session_pb2.DURABILITY_MODE_NONE)
    async with serving(tmp_path) as toys:
        opened = []
        for durability in (None, none, None, none, none, None):
            async with talking(toys, durability=durability) as (talk, each):
                opened.append(each.session_id)
                await talk.leave()
        assert sorted(await ids(toys)) == sorted(opened)
    async with serving(tmp_path) as toys:
        assert sorted(await ids(toys)) == sorted(opened[i] for i in (0, 2, 5))


async def test_a_listing_goes_on_in_the_store_where_what_was_in_memory_has_gone_meanwhile(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as toys, talking(toys) as (talk, opened):
        await talk.leave()
        page = await toys.sessions.ListSessions(session_pb2.ListSessionsRequest(page_token="m100"))
        assert [session.session_id for session in page.sessions] == [opened.session_id]


async def test_a_session_is_described(tmp_path: Path) -> None:
    async with serving(tmp_path) as toys, talking(toys) as (talk, opened):
        await talk.feed("uno dos ")
        await talk.say(snapshot=session_pb2.Snapshot())
        asked = session_pb2.DescribeSessionRequest(session_id=opened.session_id)
        found = (await toys.sessions.DescribeSession(asked)).session
        assert (found.tier, found.model.name) == (session_pb2.SESSION_TIER_ACTIVE, "toy-es-en")
        assert (found.input_position, found.next_turn, found.durable_turn) == (2, 1, 1)
        assert found.state_bytes > 0
        await talk.leave()
        assert (await toys.sessions.DescribeSession(asked)).session.tier == session_pb2.SESSION_TIER_IDLE
    async with serving(tmp_path) as toys:
        found = (await toys.sessions.DescribeSession(asked)).session
        assert (found.tier, found.input_position) == (session_pb2.SESSION_TIER_COLD, 2)


async def test_who_closes_a_session_ends_its_stream(tmp_path: Path) -> None:
    async with serving(tmp_path) as toys, talking(toys) as (talk, opened):
        await talk.feed("uno ")
        await toys.sessions.CloseSession(session_pb2.CloseSessionRequest(session_id=opened.session_id))
        assert (await talk.hear()).reason == session_pb2.EVICTED_REASON_CLOSED
        assert await talk.call.read() is grpc.aio.EOF
        resume = session_pb2.Resume(session_id=opened.session_id)
        assert (
            await refused(Talk(toys.sequence.Session()).say(resume=resume))
        ).code is grpc.StatusCode.NOT_FOUND
        assert await ids(toys) == []


async def test_what_is_not_there(toys: Toys) -> None:
    for call in (
        toys.sessions.DescribeSession(NOBODY),
        toys.sessions.CloseSession(session_pb2.CloseSessionRequest(session_id="nobody")),
    ):
        assert (await refused(call)).code is grpc.StatusCode.NOT_FOUND
    for request in ({"page_size": 1001}, {"page_size": -1}, {"page_token": "x"}):
        listing = toys.sessions.ListSessions(session_pb2.ListSessionsRequest(**request))
        assert (await refused(listing)).code is grpc.StatusCode.INVALID_ARGUMENT


async def test_another_owner_finds_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path, server={"trust_owner_header": True}) as toys:
        call = toys.sequence.Session(metadata=(("seqserve-owner", "alice"),))
        opened = await Talk(call).say(open=session_pb2.Open(model=model()))
        assert await ids(toys, **{"seqserve-owner": "alice"}) == [opened.session_id]
        for owner in ("bob", ""):
            metadata = (("seqserve-owner", owner),) if owner else ()
            assert await ids(toys, **dict(metadata)) == []
            stolen = Talk(toys.sequence.Session(metadata=metadata))
            resume = session_pb2.Resume(session_id=opened.session_id)
            assert (await refused(stolen.say(resume=resume))).code is grpc.StatusCode.NOT_FOUND
            for method, request in (
                (toys.sessions.DescribeSession, session_pb2.DescribeSessionRequest),
                (toys.sessions.CloseSession, session_pb2.CloseSessionRequest),
            ):
                answer = await refused(method(request(session_id=opened.session_id), metadata=metadata))  # type: ignore[arg-type]
                assert answer.code is grpc.StatusCode.NOT_FOUND
        assert (await Talk(call).feed("uno ")).input_position == 1
        call.cancel()


async def test_the_owner_header_counts_only_where_it_is_trusted(toys: Toys) -> None:
    call = toys.sequence.Session(metadata=(("seqserve-owner", "alice"),))
    opened = await Talk(call).say(open=session_pb2.Open(model=model()))
    assert await ids(toys) == [opened.session_id]
    call.cancel()


async def ticket_of(talk: Talk) -> bytes:
    snapshotted = await talk.say(snapshot=session_pb2.Snapshot(as_ticket=True))
    assert snapshotted.expires.seconds > 0
    return bytes(snapshotted.ticket)


async def test_a_ticket_goes_on_on_a_server_that_has_the_key_and_no_store(tmp_path: Path) -> None:
    keys = {"snapshot_keys": f"k1:{'A' * 43}="}
    async with (
        serve_toys(tmp_path / "1", keys=keys) as first,
        serve_toys(tmp_path / "2", keys=keys) as second,
    ):
        async with talking(first) as (talk, opened):
            await talk.feed("uno do")
            ticket = await ticket_of(talk)
        async with talking(second, ticket=ticket) as (talk, resumed):
            assert (resumed.session_id, resumed.next_turn) == (opened.session_id, 1)
            await talk.feed("s tres")
            assert (await talk.generate())[-1].hypotheses[0].text == "one two three"
        value = second.server.metrics.registry.get_sample_value
        assert value("seqserve_sessions_resumed_total", {"source": "ticket"}) == 1
        assert value("seqserve_sessions_resumed_total", {"source": "memory"}) == 0


async def test_an_old_ticket_is_no_way_back(toys: Toys) -> None:
    async with talking(toys) as (talk, _):
        await talk.feed("uno ")
        ticket = await ticket_of(talk)
        await talk.say(rewind=session_pb2.Rewind(after_turn=-1))
        answer = await refused(Talk(toys.sequence.Session()).say(resume=session_pb2.Resume(ticket=ticket)))
        assert (answer.code, answer.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TICKET_OUTDATED")


async def test_an_old_ticket_is_no_way_back_on_another_server_either(tmp_path: Path) -> None:
    keys = {"snapshot_keys": f"k1:{'A' * 43}="}
    async with serving(tmp_path, keys=keys) as first, talking(first) as (talk, _):
        await talk.feed("uno ")
        ticket = await ticket_of(talk)
        await talk.feed("dos ")
        await talk.leave()
    async with serving(tmp_path, keys=keys) as second:
        answer = await refused(Talk(second.sequence.Session()).say(resume=session_pb2.Resume(ticket=ticket)))
        assert answer.reason == "TICKET_OUTDATED"


async def test_a_ticket_of_a_closed_session_is_refused(toys: Toys) -> None:
    async with talking(toys) as (talk, _):
        ticket = await ticket_of(talk)
        await talk.say(close=session_pb2.Close())
    answer = await refused(Talk(toys.sequence.Session()).say(resume=session_pb2.Resume(ticket=ticket)))
    assert answer.reason == "TICKET_OUTDATED"


@pytest.mark.parametrize("change", ["flipped", "truncated", "forged"])
async def test_a_ticket_that_was_changed_is_refused(toys: Toys, change: str) -> None:
    async with talking(toys) as (talk, _):
        await talk.feed("uno ")
        good = await ticket_of(talk)
        bad = {"flipped": good[:-1] + bytes([good[-1] ^ 1]), "truncated": good[:-5], "forged": b"x" * 100}[
            change
        ]
        answer = await refused(Talk(toys.sequence.Session()).say(resume=session_pb2.Resume(ticket=bad)))
        assert (answer.code, answer.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "TICKET_REFUSED")
        await talk.feed("dos ")
        assert (await talk.generate())[-1].hypotheses[0].text == "one two"


async def test_resuming_by_both_or_neither_is_refused(toys: Toys) -> None:
    for resume in (session_pb2.Resume(), session_pb2.Resume(session_id="x", ticket=b"y")):
        answer = await refused(Talk(toys.sequence.Session()).say(resume=resume))
        assert (answer.code, answer.field) == (grpc.StatusCode.INVALID_ARGUMENT, "resume")


async def test_closing_while_a_stream_resumes(toys: Toys) -> None:
    async with talking(toys) as (talk, opened):
        await talk.feed("uno ")
        close = session_pb2.CloseSessionRequest(session_id=opened.session_id)
        await asyncio.gather(toys.sessions.CloseSession(close))
        assert (await talk.hear()).reason == session_pb2.EVICTED_REASON_CLOSED
