"""Sessions in a store, over the wire: one server goes away, and another goes on."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from seqserve.v1 import session_pb2
from tests.fakes.toy_server import Toys, serve_toys
from tests.fakes.wire import Talk, model, refused, talking

EVERY_STEP = session_pb2.Durability(mode=session_pb2.DURABILITY_MODE_EVERY_STEP)


@asynccontextmanager
async def serving(folder: Path, **pieces: Any) -> AsyncIterator[Toys]:
    """One of the servers on the store of this folder."""
    store = {"kind": "sqlite", "path": str(folder / "sessions.sqlite"), "timeout_s": 30.0}
    async with serve_toys(folder / secrets.token_hex(4), store=store, **pieces) as toys:
        yield toys


async def test_the_next_server_goes_on_with_what_the_last_one_saved(tmp_path: Path) -> None:
    async with serving(tmp_path) as toys, talking(toys, durability=EVERY_STEP) as (talk, opened):
        assert opened.durability.mode == session_pb2.DURABILITY_MODE_EVERY_STEP
        await talk.call.write(session_pb2.SessionRequest(feed=session_pb2.Feed(text="uno dos tr")))
        assert (await talk.call.read()).durable_turn == 1
    async with serving(tmp_path) as toys, talking(toys, session_id=opened.session_id) as (talk, resumed):
        assert (resumed.input_position, resumed.next_turn) == (2, 1)
        assert (await talk.feed("uno dos tr", turn=0)).input_position == 2
        await talk.feed("es", turn=1)
        assert (await talk.generate())[-1].hypotheses[0].text == "one two three"


async def test_without_a_word_sessions_are_durable_where_there_is_a_store(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, sessions={"default_durability_steps": 5}) as toys,
        talking(toys) as (talk, opened),
    ):
        assert opened.durability.mode == session_pb2.DURABILITY_MODE_EVERY_N_STEPS
        assert opened.durability.num_steps == 5
        assert await talk.say(snapshot=session_pb2.Snapshot()) == session_pb2.Snapshotted()


async def test_durability_without_a_store_is_refused(tmp_path: Path) -> None:
    async with serve_toys(tmp_path) as toys:
        opening = session_pb2.Open(model=model(), durability=EVERY_STEP)
        answer = await refused(Talk(toys.sequence.Session()).say(open=opening))
        assert answer.code is grpc.StatusCode.FAILED_PRECONDITION
        async with talking(toys) as (_, opened):
            assert opened.durability.mode == session_pb2.DURABILITY_MODE_NONE


@pytest.mark.parametrize("num_steps", [-1, 1001])
async def test_a_durability_has_bounds(tmp_path: Path, num_steps: int) -> None:
    mode = session_pb2.DURABILITY_MODE_EVERY_N_STEPS
    durability = session_pb2.Durability(mode=mode, num_steps=num_steps)
    async with serving(tmp_path) as toys:
        opening = session_pb2.Open(model=model(), durability=durability)
        answer = await refused(Talk(toys.sequence.Session()).say(open=opening))
        assert (answer.code, answer.field) == (grpc.StatusCode.INVALID_ARGUMENT, "open.durability.num_steps")


async def test_a_server_that_drains_sends_its_sessions_on(tmp_path: Path) -> None:
    async with serving(tmp_path) as other:
        async with serving(tmp_path, server={"grace_s": 30}) as toys:
            engine = toys.engine()
            async with talking(toys) as (idle, idle_opened), talking(toys) as (busy, busy_opened):
                await idle.feed("uno ")
                await busy.feed("uno dos tres cuatro")
                engine.hold()
                engine.let(3)  # the last word is read, two are written
                generate = session_pb2.SessionRequest(generate=session_pb2.Generate(), turn=1)
                await busy.call.write(generate)
                heard = [(await busy.hear()).tokens[0].piece]
                draining = asyncio.create_task(toys.server.drain())
                moved = await idle.hear()
                assert moved.reason == session_pb2.MOVED_REASON_DRAINING
                while not isinstance(answer := await busy.hear(), session_pb2.Moved):
                    heard += [token.piece for token in answer.tokens]
                engine.let_go()
                await draining
        async with talking(other, session_id=idle_opened.session_id) as (talk, _):
            assert (await talk.generate())[-1].hypotheses[0].text == "one"
        async with talking(other, session_id=busy_opened.session_id) as (talk, _):
            outputs = await talk.generate(turn=1, output_position=len(heard))
            heard += [token.piece for output in outputs for token in output.tokens]
            assert "".join(heard) == "one two three four"


async def test_a_session_that_was_claimed_by_another_server_has_moved(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as first,
        serving(tmp_path) as second,
        talking(first, durability=EVERY_STEP) as (talk, opened),
    ):
        await talk.feed("uno ")
        async with talking(second, session_id=opened.session_id) as (other, _):
            await other.feed("dos ")
            moved = await talk.say(feed=session_pb2.Feed(text="nueve "))
            assert moved.reason == session_pb2.MOVED_REASON_CLAIMED
            assert await talk.call.read() is grpc.aio.EOF
            assert (await other.generate())[-1].hypotheses[0].text == "one two"


async def test_a_snapshot_of_a_session_that_another_server_has_claimed_says_that_it_has_moved(
    tmp_path: Path,
) -> None:
    """Were it refused as fenced, its client could take that for a break, and take the session back."""
    durability = session_pb2.Durability(mode=session_pb2.DURABILITY_MODE_EVERY_N_STEPS, num_steps=100)
    async with (
        serving(tmp_path) as first,
        serving(tmp_path) as second,
        talking(first, durability=durability) as (talk, opened),
    ):
        await talk.feed("uno ")
        async with talking(second, session_id=opened.session_id) as (_, _):
            moved = await talk.say(snapshot=session_pb2.Snapshot())
            assert moved.reason == session_pb2.MOVED_REASON_CLAIMED


async def test_a_store_that_cannot_be_opened_does_not_stop_the_server(tmp_path: Path) -> None:
    store = {"kind": "sqlite", "path": str(tmp_path / "no such folder" / "sessions.sqlite")}
    async with serve_toys(tmp_path / "models", store=store) as toys:
        async with talking(toys, durability=EVERY_STEP) as (talk, opened):
            await talk.feed("uno ")
            assert (await talk.generate())[-1].hypotheses[0].text == "one"
        async with talking(toys, session_id=opened.session_id) as (talk, _):
            await talk.feed("dos ")


async def test_a_stream_that_stays_silent_is_told_that_its_session_is_gone(tmp_path: Path) -> None:
    async with serving(tmp_path, sessions={"max_silence_s": 3.0}) as toys:
        async with talking(toys, durability=EVERY_STEP) as (silent, gone), talking(toys) as (talk, _):
            await silent.feed("uno ")
            listening = asyncio.create_task(silent.hear())
            while not listening.done():
                await talk.say(keep_alive=session_pb2.KeepAlive())
                await asyncio.sleep(0.2)
            evicted = await listening
            assert evicted.reason == session_pb2.EVICTED_REASON_EXPIRED
            assert await silent.call.read() is grpc.aio.EOF
            await talk.feed("uno ")
            assert (await talk.generate())[-1].hypotheses[0].text == "one"
        resuming = session_pb2.Resume(session_id=gone.session_id)
        answer = await refused(Talk(toys.sequence.Session()).say(resume=resuming))
        assert (answer.code, answer.reason) == (grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")
        evictions = toys.server.metrics.registry.get_sample_value(
            "seqserve_sessions_evicted_total", {"reason": "expired"}
        )
        assert evictions == 1


async def test_an_owner_with_too_many_cold_sessions_is_told_to_come_back(tmp_path: Path) -> None:
    limits = {"max_sessions": 1, "max_sessions_per_owner": 3}
    async with serving(tmp_path, sessions=limits) as toys:
        for _ in range(3):
            async with talking(toys, durability=EVERY_STEP) as (talk, _):
                await talk.feed("uno ")
                await talk.leave()  # else the next one may come before the server knows that he has left
        opening = session_pb2.Open(model=model(), durability=EVERY_STEP)
        answer = await refused(Talk(toys.sequence.Session()).say(open=opening))
        assert (answer.code, answer.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert answer.detail(error_details_pb2.RetryInfo).retry_delay.seconds == 10


async def test_a_session_fetched_from_the_store_is_counted_as_such(tmp_path: Path) -> None:
    async with serving(tmp_path) as toys, talking(toys, durability=EVERY_STEP) as (talk, opened):
        await talk.feed("uno ")
    async with serving(tmp_path) as toys, talking(toys, session_id=opened.session_id):
        value = toys.server.metrics.registry.get_sample_value
        assert value("seqserve_sessions_resumed_total", {"source": "store"}) == 1
        assert value("seqserve_save_lag_seconds") == 0
