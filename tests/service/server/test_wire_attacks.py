"""What is tried at the port itself, and what each got; docs/threat-model.md lists these tests.

After every attack somebody else is served as if nothing had happened.
"""

import asyncio
import gc
import gzip
import resource
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest

from seqserve.v1 import decoding_pb2, model_pb2, sequence_pb2, session_pb2
from seqserve.v1 import sequence_pb2 as pb
from service.api.sequence import SequenceServicer
from tests.fakes import http2
from tests.fakes.http2 import Peer
from tests.fakes.toy_server import Toys, serve_toys
from tests.fakes.waiting import until
from tests.fakes.wire import Talk, model, refused, talking, translate

T = TypeVar("T")
LIST = "/seqserve.v1.ModelService/ListModels"
TRANSLATE = "/seqserve.v1.SequenceService/Translate"
SESSION = "/seqserve.v1.SequenceService/Session"
MIB = 1024 * 1024


@asynccontextmanager
async def attacked(folder: Path, **server: Any) -> AsyncIterator[Toys]:
    """A server, and in the end the proof that it still serves, over a connection that stood before."""
    async with serve_toys(folder, server=server) as toys:
        assert await translate(toys, "uno") == ["one"]
        yield toys
        assert await translate(toys, "dos") == ["two"]


async def aside(act: Callable[[], T]) -> T:
    return await asyncio.to_thread(act)


def memory_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# Too much at once


async def test_a_message_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with attacked(tmp_path, max_message_bytes=MIB) as toys:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await translate(toys, "a" * 2 * MIB)
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_length_of_four_gigabytes_makes_no_room_for_them(tmp_path: Path) -> None:
    async with attacked(tmp_path) as toys:
        before = memory_mib()

        def lie() -> None:
            with Peer(toys.server.port) as peer:
                peer.call(1, TRANSLATE)
                peer.send(http2.DATA, 0, 1, b"\0" + struct.pack(">I", 2**32 - 1) + b"x" * 1000)
                peer.until(http2.HEADERS)

        await aside(lie)
        assert memory_mib() - before < 64


async def test_a_bomb_of_zeros_is_not_unpacked(tmp_path: Path) -> None:
    """16 MiB of zeros in 16 KiB: nothing is taken compressed."""
    async with attacked(tmp_path) as toys:
        bomb = gzip.compress(bytes(16 * MIB))
        before = memory_mib()

        def drop() -> bytes:
            with Peer(toys.server.port) as peer:
                peer.call(1, TRANSLATE, ("grpc-encoding", "gzip"))
                packed = b"\1" + struct.pack(">I", len(bomb)) + bomb
                for at in range(0, len(packed), 16_000):
                    peer.send(http2.DATA, 0, 1, packed[at : at + 16_000])
                return peer.until(http2.HEADERS)[2]

        answer = await aside(drop)
        assert b"12" in answer  # UNIMPLEMENTED
        assert memory_mib() - before < 8


@pytest.mark.parametrize("depth", [200, 100_000])
async def test_a_message_nested_without_end_is_refused(tmp_path: Path, depth: int) -> None:
    """Groups that no message of ours knows, one in the other, and a known message in itself."""
    async with attacked(tmp_path) as toys:
        unknown = b"\xfb\x07" * depth + b"\xfc\x07" * depth  # field 127, start and end
        for data in (unknown, unknown[: depth * 2]):
            call: Any = toys.channel.unary_unary(TRANSLATE)
            answer = await refused(call(data))
            assert (answer.code, answer.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT")


@pytest.mark.parametrize(
    "metadata",
    [
        (("x-flood", "a" * 9000),),
        (("x-flood", "a" * 500_000),),
        (("x-flood-bin", b"a" * 20_000),),
        tuple((f"x-flood-{number}", "a") for number in range(400)),
        tuple(("x-flood", "a" * 100) for _ in range(400)),
    ],
    ids=["long", "very long", "binary", "many names", "one name many times"],
)
async def test_a_flood_of_headers_is_refused(tmp_path: Path, metadata: Any) -> None:
    async with attacked(tmp_path) as toys:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await toys.models.ListModels(model_pb2.ListModelsRequest(), metadata=metadata)
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_how_long_headers_may_be_is_a_setting(tmp_path: Path) -> None:
    for number, (limit, size, is_taken) in enumerate(((2048, 3000, False), (40_000, 30_000, True))):
        async with attacked(tmp_path / str(number), max_metadata_bytes=limit) as toys:
            call = toys.models.ListModels(model_pb2.ListModelsRequest(), metadata=(("x-long", "a" * size),))
            assert (await call.code() is grpc.StatusCode.OK) is is_taken


async def test_headers_that_do_not_end_take_no_memory(tmp_path: Path) -> None:
    """The CONTINUATION flood (CVE-2024-27316 and its kin)."""
    async with attacked(tmp_path) as toys:
        before = memory_mib()

        def flood() -> None:
            with Peer(toys.server.port) as peer:
                peer.send(http2.HEADERS, 0, 1, http2.headers(LIST))
                field = b"\x00" + b"\x06x-more" + b"\x7f\x81\x7e" + b"a" * 16_256
                for _ in range(10_000):  # 160 MB
                    peer.send(http2.CONTINUATION, 0, 1, field)

        await aside(flood)
        assert memory_mib() - before < 96


async def test_calls_that_are_begun_and_cancelled_at_once_do_not_hold_it_up(tmp_path: Path) -> None:
    """Rapid reset (CVE-2023-44487)."""
    async with attacked(tmp_path) as toys:

        def reset() -> None:
            with Peer(toys.server.port) as peer:
                for stream in range(1, 8001, 2):
                    peer.call(stream, LIST)
                    peer.send(http2.RST_STREAM, 0, stream, struct.pack(">I", 8))

        await aside(reset)
        assert await translate(toys, "tres") == ["three"]
        await until_empty(toys)


@pytest.mark.parametrize(
    ("kind", "payload"), [(http2.PING, b"12345678"), (http2.SETTINGS, b"")], ids=["pings", "settings"]
)
async def test_a_connection_that_only_asks_for_life_signs_is_closed(
    tmp_path: Path, kind: int, payload: bytes
) -> None:
    async with attacked(tmp_path) as toys:

        def flood() -> list[tuple[int, int, bytes]]:
            with Peer(toys.server.port) as peer:
                for _ in range(20_000):
                    peer.send(kind, 0, 0, payload)
                if kind == http2.SETTINGS:
                    return []  # it may answer them all; that nobody else notices is asked for
                return peer.frames()

        heard = await aside(flood)
        calm = [payload for kind, _, payload in heard if kind == http2.GOAWAY]
        assert kind == http2.SETTINGS or not heard or calm


async def test_connections_past_the_limit_are_closed_and_those_that_stand_go_on(tmp_path: Path) -> None:
    async with attacked(tmp_path, max_connections=4) as toys:

        def crowd() -> int:
            peers = [Peer(toys.server.port) for _ in range(12)]
            greeted = sum(peer.frame() is not None for peer in peers)
            for peer in peers:
                peer.__exit__(None, None, None)
            return greeted

        assert await aside(crowd) <= 3
        assert await translate(toys, "tres") == ["three"]


# Too slowly


async def test_who_never_ends_his_greeting_is_hung_up_on(tmp_path: Path) -> None:
    async with attacked(tmp_path, handshake_s=1) as toys:

        def dawdle() -> float:
            started = time.monotonic()
            with Peer(toys.server.port, greets=False) as peer:
                peer.raw(http2.PREFACE[:7])
                peer.frames()
            return time.monotonic() - started

        assert await aside(dawdle) < 15


async def test_a_connection_without_a_call_is_closed(tmp_path: Path) -> None:
    async with attacked(tmp_path, max_idle_s=1) as toys:

        def idle() -> list[tuple[int, int, bytes]]:
            with Peer(toys.server.port) as peer:
                return peer.frames()

        assert any(kind == http2.GOAWAY for kind, _, _ in await aside(idle))


def later(toys: Toys) -> None:
    """From now on it seems to the server that an hour has passed."""
    patience = toys.server.visits.patience
    patience._clock = lambda: time.monotonic() + 3600


def slow_callers(toys: Toys, owes: str) -> float:
    registry = toys.server.metrics.registry
    return registry.get_sample_value("seqserve_slow_callers_total", {"owes": owes}) or 0.0


async def until_waiting(toys: Toys, owes: str) -> None:
    waiting = toys.server.visits.patience._waiting
    await until(lambda: owes in [owed for owed, *_ in waiting.values()])


async def until_empty(toys: Toys) -> None:
    await until(lambda: not len(toys.server._calls))


@pytest.mark.parametrize(
    ("method", "owes"), [(TRANSLATE, "sends"), (SESSION, "opens")], ids=["one request", "a stream"]
)
async def test_a_request_that_does_not_come_is_not_waited_for(tmp_path: Path, method: str, owes: str) -> None:
    async with attacked(tmp_path) as toys:
        await toys.server.visits.patience.sweep()
        with await aside(lambda: Peer(toys.server.port)) as peer:
            peer.call(1, method)
            peer.send(http2.DATA, 0, 1, b"\0\0\0\0\x10half")
            await until_waiting(toys, owes)
            await toys.server.visits.patience.sweep()  # no time has passed: nothing happens
            assert slow_callers(toys, owes) == 0
            later(toys)
            await toys.server.visits.patience.sweep()
            await aside(lambda: peer.until(http2.HEADERS, holding=b"the caller did not send"))
        assert slow_callers(toys, owes) == 1
        assert not len(toys.server._calls)


async def test_who_does_not_read_loses_his_call_and_keeps_his_session(tmp_path: Path) -> None:
    """His window is closed: what he asked for cannot be sent, and would lie there for ever."""
    async with attacked(tmp_path) as toys:
        with await aside(lambda: Peer(toys.server.port, {http2.INITIAL_WINDOW: 0})) as peer:
            peer.call(1, SESSION)
            opening = session_pb2.SessionRequest(open=session_pb2.Open(model=model()))
            peer.send(http2.DATA, 0, 1, http2.message(opening.SerializeToString()))
            await until_waiting(toys, "reads")
            later(toys)
            await toys.server.visits.patience.sweep()
            await until_empty(toys)
            peer.send(http2.WINDOW_UPDATE, 0, 1, struct.pack(">I", 100_000))  # now he reads on
            await aside(lambda: peer.until(http2.DATA))
            await aside(lambda: peer.until(http2.HEADERS, holding=b"the caller did not send"))
        assert slow_callers(toys, "reads") == 1
        listed = (await toys.sessions.ListSessions(session_pb2.ListSessionsRequest())).sessions
        assert len(listed) == 1
        async with talking(toys, session_id=listed[0].session_id) as (talk, opened):
            assert opened.session_id == listed[0].session_id
            await talk.feed("uno ")


async def test_a_stream_that_nobody_reads_holds_nothing(tmp_path: Path) -> None:
    async with attacked(tmp_path) as toys:
        with await aside(lambda: Peer(toys.server.port, {http2.INITIAL_WINDOW: 0})) as peer:
            request = pb.StreamTranslateRequest(model=model(), text="uno dos")
            peer.call(1, "/seqserve.v1.SequenceService/StreamTranslate")
            peer.send(http2.DATA, http2.END_STREAM, 1, http2.message(request.SerializeToString()))
            await until_waiting(toys, "reads")
            later(toys)
            await toys.server.visits.patience.sweep()
            await until_empty(toys)
            assert toys.jobs_active() == 0
            peer.send(http2.WINDOW_UPDATE, 0, 1, struct.pack(">I", 100_000))  # now he reads on
            await aside(lambda: peer.until(http2.DATA))
            await aside(lambda: peer.until(http2.HEADERS, holding=b"the caller did not"))
        assert slow_callers(toys, "reads") == 1


async def test_who_reads_the_first_answer_and_no_more_is_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    went_on = asyncio.Event()

    async def one_and_a_large_one(*_: object) -> AsyncIterator[pb.StreamTranslateResponse]:
        yield pb.StreamTranslateResponse(tokens=[decoding_pb2.Token(piece="uno")])
        went_on.set()
        yield pb.StreamTranslateResponse(tokens=[decoding_pb2.Token(piece="x" * MIB)])

    monkeypatch.setattr(SequenceServicer, "StreamTranslate", one_and_a_large_one)
    async with attacked(tmp_path) as toys:
        with await aside(lambda: Peer(toys.server.port)) as peer:  # HTTP/2 lets 64 KiB through by itself
            peer.call(1, "/seqserve.v1.SequenceService/StreamTranslate")
            peer.send(http2.DATA, http2.END_STREAM, 1, http2.message(b""))
            await asyncio.wait_for(went_on.wait(), 60)
            await until_waiting(toys, "reads")
            await lost_patience(toys)
            await until_empty(toys)
            for stream in (0, 1):
                peer.send(http2.WINDOW_UPDATE, 0, stream, struct.pack(">I", 2 * MIB))  # now he reads on
            await aside(lambda: peer.until(http2.HEADERS, holding=b"the caller did not"))
        assert slow_callers(toys, "reads") == 1


async def lost_patience(toys: Toys) -> None:
    later(toys)
    await toys.server.visits.patience.sweep()


async def turned_out(toys: Toys) -> None:
    toys.server._calls.turn_out()


@pytest.mark.parametrize("end", [lost_patience, turned_out])
async def test_a_stream_that_nobody_reads_leaves_nothing_behind(
    tmp_path: Path, end: Callable[[Toys], Awaitable[None]]
) -> None:
    """gRPC keeps a status that it was told to send and could not even begin to."""
    request, before = pb.StreamTranslateRequest(model=model(), text="uno dos"), statuses_kept()
    async with attacked(tmp_path) as toys:
        with await aside(lambda: Peer(toys.server.port, {http2.INITIAL_WINDOW: 0})) as peer:
            peer.call(1, "/seqserve.v1.SequenceService/StreamTranslate")
            peer.send(http2.DATA, http2.END_STREAM, 1, http2.message(request.SerializeToString()))
            await until_waiting(toys, "reads")
            await end(toys)
            await until_empty(toys)
        await until(lambda: statuses_kept() <= before)


@pytest.mark.parametrize("method", ["Translate", "StreamTranslate"])
async def test_who_lets_answers_lie_gets_no_more_of_them(tmp_path: Path, method: str) -> None:
    """Nothing takes an answer back from gRPC, whose memory it fills; who reads what he has is served again."""
    requests = {
        "Translate": pb.TranslateRequest(model=model(), texts=["uno"]),
        "StreamTranslate": pb.StreamTranslateRequest(model=model(), text="uno"),
    }
    asked = http2.message(requests[method].SerializeToString())
    async with attacked(tmp_path, max_unread=10) as toys:
        patience = toys.server.visits.patience
        with await aside(lambda: Peer(toys.server.port, {http2.INITIAL_WINDOW: 0})) as peer:

            def ask(*streams: int) -> None:
                for stream in streams:
                    peer.call(stream, f"/seqserve.v1.SequenceService/{method}")
                    peer.send(http2.DATA, http2.END_STREAM, stream, asked)

            first = range(1, 23, 2)
            ask(*first)
            await until(lambda: patience.num_unread == len(first))
            await patience.sweep()  # all of it may be on its way
            ask(23)
            await until(lambda: patience.num_unread == len(first) + 1)
            assert toys.server.metrics.registry.get_sample_value("seqserve_answers_unread") == len(first) + 1
            later(toys)
            await patience.sweep()
            ask(25)
            refusal = await aside(lambda: peer.until(http2.HEADERS, holding=b"lie unread"))
            assert refusal[1] == 25
            assert await translate(toys, "tres") == ["three"]  # on a connection of somebody who reads
            assert patience.num_unread >= len(first) + 1
            for stream in (*first, 23):
                peer.send(http2.WINDOW_UPDATE, 0, stream, struct.pack(">I", 100_000))  # he reads
            await until(lambda: not patience.num_unread)
            await patience.sweep()
            peer.send(http2.SETTINGS, 0, 0, struct.pack(">HI", http2.INITIAL_WINDOW, 100_000))
            ask(27)
            await aside(lambda: next(one for one in iter(peer.frame, None) if one[:2] == (http2.DATA, 27)))
            await until(lambda: not patience.num_unread)
        assert not len(patience)


async def test_a_few_unread_answers_on_each_of_many_connections_refuse_nobody(tmp_path: Path) -> None:
    asked = http2.message(pb.TranslateRequest(model=model(), texts=["uno"]).SerializeToString())
    async with attacked(tmp_path, max_unread=3) as toys:
        patience = toys.server.visits.patience
        with ExitStack() as stack:
            peers = [
                stack.enter_context(await aside(lambda: Peer(toys.server.port, {http2.INITIAL_WINDOW: 0})))
                for _ in range(4)
            ]
            for peer in peers:
                peer.call(1, TRANSLATE)
                peer.send(http2.DATA, http2.END_STREAM, 1, asked)
            await until(lambda: patience.num_unread == 4)
            later(toys)
            await patience.sweep()
            peer.call(3, TRANSLATE)
            peer.send(http2.DATA, http2.END_STREAM, 3, asked)
            await until(lambda: patience.num_unread == 5)
            assert patience._too_many
        await until(lambda: not patience.num_unread)  # they have hung up


def statuses_kept() -> int:
    """Statuses that gRPC's Python was told to send and still holds."""
    gc.collect()
    return sum(type(one).__name__ == "SendStatusFromServerOperation" for one in gc.get_objects())


# Where one does not belong

TRICKS = (
    "../secret",
    "../../etc/passwd",
    "..",
    ".",
    "/etc",
    "toy-es-en/../../secret",
    "toy-es-en/1",
    "toy-es-en\0",
    "toy-es-en\n",
    "TOY-ES-EN",
    "*",
    "[t]oy-es-en",
    "%2e%2e%2fsecret",
    "..\\secret",
    "file:///etc/passwd",
    "~",
    "linked",
    "a" * 10_000,
    "\u202etoy-es-en",
)


async def test_names_of_models_lead_nowhere(tmp_path: Path) -> None:
    """In every request that names one; beside the repository lies a model that nobody may reach."""
    from tests.fakes.toy_bundles import write_toy_translator

    outside = write_toy_translator(tmp_path / "outside", "secret")
    repository = tmp_path / "models"
    (repository / "linked").mkdir(parents=True)
    (repository / "linked" / "1").symlink_to(outside)
    async with attacked(repository, admin=True) as toys:
        for name in TRICKS:
            for version in ("", "1", "../1", name):
                for attempt in (
                    toys.models.LoadModel(model_pb2.LoadModelRequest(name=name, version=version)),
                    toys.models.UnloadModel(model_pb2.UnloadModelRequest(name=name, version=version)),
                    toys.models.DescribeModel(
                        model_pb2.DescribeModelRequest(model=model(name, version=version))
                    ),
                    toys.sequence.Translate(
                        pb.TranslateRequest(model=model(name, version=version), texts=["uno"])
                    ),
                    Talk(toys.sequence.Session()).say(
                        open=session_pb2.Open(model=model(name, version=version))
                    ),
                ):
                    answer = await refused(attempt)
                    assert answer.code in (
                        grpc.StatusCode.NOT_FOUND,
                        grpc.StatusCode.INVALID_ARGUMENT,
                        grpc.StatusCode.FAILED_PRECONDITION,
                    ), (name, version)
        assert "leads out of the repository" in toys.server.registry.refused["linked/1"]
        listed = (await toys.models.ListModels(model_pb2.ListModelsRequest())).models
        assert {one.model.name for one in listed} == {
            "toy-es-en",
            "toy-intents",
            "two-way",
            "two-way-intents",
        }


def test_every_request_that_names_a_session_is_among_the_attacks() -> None:
    """So that an RPC that is added is attacked, too (tests/service/server/attacks.py)."""
    naming = {
        f"{message.full_name}.{field.name}"
        for file in (sequence_pb2, session_pb2, model_pb2)
        for message in file.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
        if field.name == "session_id" and (message.name.endswith("Request") or message.name == "Resume")
    }
    assert naming == {
        "seqserve.v1.Resume.session_id",
        "seqserve.v1.DescribeSessionRequest.session_id",
        "seqserve.v1.CloseSessionRequest.session_id",
    }


async def test_a_header_that_nobody_trusts_changes_nothing(tmp_path: Path) -> None:
    async with attacked(tmp_path) as toys, talking(toys) as (talk, opened):
        await talk.feed("uno ")
        for owner in ("alice", "", "root", "a" * 200):
            metadata = (("seqserve-owner", owner),)
            listed = await toys.sessions.ListSessions(session_pb2.ListSessionsRequest(), metadata=metadata)
            assert [one.session_id for one in listed.sessions] == [opened.session_id]


async def test_callers_cannot_make_new_series_of_metrics(tmp_path: Path) -> None:
    async with attacked(tmp_path, trust_owner_header=True) as toys:
        registry = toys.server.metrics.registry

        channel: Any = toys.channel

        async def attempt(number: int) -> None:
            word = f"name{number}"
            metadata = (("seqserve-owner", word), ("x-request-id", word), ("user-agent", word))
            for call in (
                channel.unary_unary(f"/seqserve.v1.ModelService/{word}")(b"", metadata=metadata),
                channel.unary_unary(f"/{word}/{word}")(b"", metadata=metadata),
                toys.sequence.Translate(
                    pb.TranslateRequest(model=model(word, version=word), texts=["uno"]), metadata=metadata
                ),
                toys.sessions.CloseSession(
                    session_pb2.CloseSessionRequest(session_id=word), metadata=metadata
                ),
            ):
                with pytest.raises(grpc.aio.AioRpcError):
                    await call

        def series() -> set[tuple[str, ...]]:
            return {
                (sample.name, *map(str, sample.labels.items()))
                for family in registry.collect()
                for sample in family.samples
            }

        def not_found() -> float:
            samples = (sample for family in registry.collect() for sample in family.samples)
            return sum(
                sample.value
                for sample in samples
                if sample.name == "seqserve_requests_total" and sample.labels["code"] == "NOT_FOUND"
            )

        await attempt(0)
        await until(lambda: not_found() == 2)  # a call is counted after its answer is sent
        before = series()
        for number in range(1, 50):
            await attempt(number)
        await until(lambda: not_found() == 100)
        assert series() == before
