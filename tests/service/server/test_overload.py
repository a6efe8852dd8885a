"""More calls than the server can look at, and callers who do not wait for ever."""

import asyncio
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from seqserve.v1 import sequence_pb2 as pb
from service import until
from service.api.turned_away import NUM_LOOKS, ON_THEIR_WAY, TurnedAway
from service.client import AsyncClient, HoldingBack, Overloaded
from service.client.errors import HELD_BACK
from service.metrics import Metrics
from tests.fakes import http2
from tests.fakes.http2 import Peer
from tests.fakes.toy_server import Toys, serve_toys
from tests.fakes.wire import model

TRANSLATE = "/seqserve.v1.SequenceService/Translate"
NUM_CALLS = 20


async def test_calls_that_nobody_can_look_at_are_turned_away_by_grpc_itself(tmp_path: Path) -> None:
    """The event loop stands still for a while: nothing of ours has answered."""
    async with serve_toys(tmp_path, server={"max_pending_calls": 4}) as toys:
        request = http2.message(pb.TranslateRequest(model=model(), texts=["tres"]).SerializeToString())
        at_once, turned_away, answered = list[int](), list[int](), list[int]()
        stands_still, goes_on = threading.Event(), threading.Event()

        def crowd() -> None:
            stands_still.wait(http2.PATIENCE_S)
            with Peer(toys.server.port) as peer:
                for number in range(NUM_CALLS):
                    peer.call(2 * number + 1, TRANSLATE)
                    peer.send(http2.DATA, http2.END_STREAM, 2 * number + 1, request)
                while len(at_once) < NUM_CALLS - 6:
                    at_once.append(peer.until(http2.HEADERS, holding=b"CANCELLED")[1])
                turned_away.extend(at_once)
                goes_on.set()
                while len(turned_away) + len(answered) < NUM_CALLS:  # those that found a place are answered
                    kind, call, payload = peer.frame() or pytest.fail("the connection was closed")
                    if kind == http2.HEADERS and b"CANCELLED" in payload:
                        turned_away.append(call)
                    if kind == http2.DATA and b"three" in payload:
                        answered.append(call)

        crowding = asyncio.get_running_loop().run_in_executor(None, crowd)
        stands_still.set()
        goes_on.wait(http2.PATIENCE_S)
        assert len(set(at_once)) == NUM_CALLS - 6
        await crowding
        assert answered
        answer = await toys.sequence.Translate(pb.TranslateRequest(model=model(), texts=["dos"]))
        assert answer.translations[0].hypotheses[0].text == "two"
        for _ in range(NUM_LOOKS):
            await toys.server._turned_away.look()
        assert turned_away_of(toys) == len(set(turned_away))


def turned_away_of(toys: Toys) -> float:
    return toys.server.metrics.registry.get_sample_value("seqserve_calls_turned_away_total") or 0.0


async def test_calls_that_are_looked_at_count_as_turned_away_in_no_case(tmp_path: Path) -> None:
    """Answered, refused by us, carried in another, unknown, asked of health."""
    async with (
        serve_toys(tmp_path, limits={"max_texts": 1}) as toys,
        AsyncClient(toys.server.address, multiplex=True) as client,
    ):
        for texts, method in (["dos"], TRANSLATE), (["dos"] * 2, TRANSLATE), (["dos"], "/x.Y/Nothing"):
            message = pb.TranslateRequest(model=model(), texts=texts).SerializeToString()
            call: Any = toys.channel.unary_unary(method)
            with suppress(grpc.aio.AioRpcError):
                await call(message)
        for _ in range(3):
            await client.stream_translate("uno", model="toy-es-en").finish()
        await health_pb2_grpc.HealthStub(toys.channel).Check(health_pb2.HealthCheckRequest())
        for _ in range(NUM_LOOKS):
            await toys.server._turned_away.look()
        assert turned_away_of(toys) == 0


def test_what_may_still_wait_is_not_counted_until_the_looks_agree() -> None:
    metrics = Metrics()
    counting = TurnedAway(metrics, max_pending=64 - ON_THEIR_WAY)

    def told_after(*unseen: int) -> float:
        for one in unseen:
            counting.learn(one)
        return metrics.registry.get_sample_value("seqserve_calls_turned_away_total") or 0.0

    assert told_after(*[0, 1, 0, 64, 0, 0, 3, 0]) == 0  # all of them were looked at later
    assert told_after(50, 64, 40) == 0
    assert told_after(1064) == 1000  # a flood: 64 of them may wait
    assert told_after(1050, 1040) == 1000
    assert told_after(*[1010] * 3) == 1000
    assert told_after(*[1010] * 2) == 1010  # the most of eight looks agree
    assert told_after(*[1011, 1010] * 8) == 1010


async def test_a_crowd_larger_than_the_queue_of_calls_is_served_all_the_same_by_clients_that_try_again(
    tmp_path: Path,
) -> None:
    async with (
        serve_toys(tmp_path, server={"max_pending_calls": 8}) as toys,
        AsyncClient(f"127.0.0.1:{toys.server.port}", max_attempts=5) as client,
    ):

        async def whole() -> str:
            return (await client.translate("tres", model="toy-es-en")).text

        async def fed() -> int:
            async with client.session(model="toy-intents") as session:
                return (await session.feed("gato ")).input_position

        assert set(await asyncio.gather(*(whole() for _ in range(64)))) == {"three"}
        assert len(set(await asyncio.gather(*(fed() for _ in range(64))))) == 1


WAVES, OF_A_WAVE = 30, 25


async def test_callers_who_hold_back_send_less_to_a_server_that_turns_them_away(tmp_path: Path) -> None:
    """What reached the server is what its core has begun, and not what the client believes."""
    found: list[Sent] = []
    async with serve_toys(tmp_path, server={"max_pending_calls": 2}) as toys:
        for holding_back in (None, HoldingBack(window_s=1000.0, after_s=0.0)):
            async with AsyncClient(toys.server.address, max_attempts=1, holding_back=holding_back) as client:
                found.append(await waves(client, toys))
    heedless, careful = found
    asked = WAVES * OF_A_WAVE
    assert (heedless.begun, heedless.held) == (asked, 0)
    assert heedless.answered < asked / 2  # else it was no overload
    assert careful.begun + careful.held == asked
    assert careful.begun < 0.7 * heedless.begun
    assert careful.answered > 0.5 * heedless.answered
    assert careful.answered / careful.begun > heedless.answered / heedless.begun


@dataclass
class Sent:
    """What became of calls."""

    begun: int = 0
    """As the server's core counts them."""
    answered: int = 0
    held: int = 0


async def waves(client: AsyncClient, toys: Toys) -> Sent:
    sent = Sent()

    async def ask() -> None:
        try:
            await client.translate("tres", model="toy-es-en")
        except Overloaded as error:
            sent.held += error.reason == HELD_BACK
        else:
            sent.answered += 1

    before = toys.server._turned_away._begun()
    for _ in range(WAVES):
        await asyncio.gather(*(ask() for _ in range(OF_A_WAVE)))
    sent.begun = toys.server._turned_away._begun() - before
    return sent


async def test_the_scheduler_knows_how_long_a_caller_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve_toys(tmp_path) as toys:
        scheduler = toys.server.registry.find("toy-es-en").scheduler
        seen: list[float] = []
        monkeypatch.setattr(
            scheduler, "check_room", lambda: seen.append(until.CURRENT.get() - time.monotonic())
        )
        request = pb.TranslateRequest(model=model(), texts=["dos"])
        await toys.sequence.Translate(request, timeout=30)
        await toys.sequence.Translate(request)
        assert 15 < seen[0] <= 30.5
        assert seen[1] == until.FOR_EVER


async def test_who_has_left_before_he_is_looked_at_is_no_fault_of_the_server(tmp_path: Path) -> None:
    """His call is over on the wire, and the first thing that is said on it fails."""
    async with serve_toys(tmp_path) as toys:
        stands_still, goes_on = threading.Event(), threading.Event()

        def leave() -> None:
            stands_still.wait(http2.PATIENCE_S)
            for _ in range(10):
                with Peer(toys.server.port) as peer:
                    peer.call(1, "/seqserve.v1.SequenceService/Session")
                    peer.call(3, "/seqserve.v1.SequenceService/Session")
            goes_on.set()

        leaving = asyncio.get_running_loop().run_in_executor(None, leave)
        stands_still.set()
        goes_on.wait(http2.PATIENCE_S)
        await leaving
        answer = await toys.sequence.Translate(pb.TranslateRequest(model=model(), texts=["dos"]))
        assert answer.translations[0].hypotheses[0].text == "two"
        async with asyncio.timeout(20):
            while len(toys.server._calls):  # noqa: ASYNC110  (nothing tells of it)
                await asyncio.sleep(0.01)
        assert toys.num_calls("Session", grpc.StatusCode.INTERNAL.name) == 0
