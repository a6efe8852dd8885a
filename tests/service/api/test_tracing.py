"""Traces: what is in them, whose part they are, and that nothing is there unless it is asked for."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

from seqserve.v1 import sequence_pb2 as pb
from service.api import tracing
from service.config import Settings
from service.errors import ConfigRefused
from service.server import Server
from service.spans import CURRENT
from tests.fakes.toy_server import Toys, serve_toys
from tests.fakes.wire import model, refused, stream, talking, translate

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SENT = f"00-{TRACE_ID}-{PARENT_ID}-01"
NOT_SAMPLED = f"00-{TRACE_ID}-{PARENT_ID}-00"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes spans as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        self.spans: list[trace_pb2.Span] = []

    def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return trace_service_pb2.ExportTraceServiceResponse()

    def named(self, name: str) -> list[trace_pb2.Span]:
        return [span for span in self.spans if span.name == name]

    def call(self, method: str) -> trace_pb2.Span:
        [span] = self.named(f"seqserve.v1.SequenceService/{method}")
        return span

    def inside(self, call: trace_pb2.Span) -> set[str]:
        return {span.name for span in self.spans if span.parent_span_id == call.span_id}


def facts(span: trace_pb2.Span) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


@pytest.fixture
async def collected(tmp_path: Path) -> AsyncIterator[tuple[Collector, str]]:
    collector = Collector()
    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads)
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield collector, f"http://127.0.0.1:{port}"
        server.stop(0)


async def traced(tmp_path: Path, collected: tuple[Collector, str], *work: Any, **pieces: Any) -> Collector:
    """All spans of a server that has done some work and gone away."""
    collector, endpoint = collected
    pieces["trace"] = {"endpoint": endpoint} | pieces.get("trace", {})
    async with serve_toys(tmp_path, **pieces) as toys:
        for one in work:
            await one(toys)
    return collector


async def ask(toys: Toys, traceparent: str) -> None:
    request = pb.TranslateRequest(model=model(), texts=["uno dos"])
    await toys.sequence.Translate(request, metadata=(("traceparent", traceparent), ("x-request-id", "mine")))


async def test_a_call_is_a_span_with_what_its_jobs_waited_for_read_and_wrote(
    tmp_path: Path, collected: tuple[Collector, str]
) -> None:
    spans = await traced(tmp_path, collected, lambda toys: translate(toys, "uno dos"))
    call = spans.call("Translate")
    assert spans.inside(call) == {"wait", "read", "write"}
    assert facts(call)["rpc.grpc.status_code"] == 0
    [read], [write] = spans.named("read"), spans.named("write")
    assert facts(read)["seqserve.model"] == "toy-es-en/1"
    assert call.start_time_unix_nano <= read.start_time_unix_nano <= read.end_time_unix_nano
    assert read.end_time_unix_nano <= write.start_time_unix_nano
    assert write.end_time_unix_nano <= call.end_time_unix_nano


async def test_a_stream_and_a_beam_are_traced_alike(tmp_path: Path, collected: tuple[Collector, str]) -> None:
    spans = await traced(tmp_path, collected, lambda toys: stream(toys, "uno dos"))
    assert spans.inside(spans.call("StreamTranslate")) == {"wait", "read", "write"}


async def test_the_callers_trace_goes_on_in_ours(tmp_path: Path, collected: tuple[Collector, str]) -> None:
    call = (await traced(tmp_path, collected, lambda toys: ask(toys, SENT))).call("Translate")
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    assert facts(call)["seqserve.request_id"] == "mine"


@pytest.mark.parametrize(("sent", "num_traced"), [(NOT_SAMPLED, 0), (SENT, 1), ("nonsense", 0)])
async def test_the_caller_decides_what_is_traced_and_else_the_share(
    tmp_path: Path, collected: tuple[Collector, str], sent: str, num_traced: int
) -> None:
    spans = await traced(tmp_path, collected, lambda toys: ask(toys, sent), trace={"sample": 0.0})
    assert len(spans.named("seqserve.v1.SequenceService/Translate")) == num_traced


async def test_what_the_store_took_is_in_the_trace_of_the_session_that_wrote(
    tmp_path: Path, collected: tuple[Collector, str]
) -> None:
    async def talk(toys: Toys) -> None:
        async with talking(toys) as (one, _):
            await one.feed("uno ")
            await one.leave()

    store = {"kind": "sqlite", "path": str(tmp_path / "sessions.sqlite")}
    spans = await traced(tmp_path, collected, talk, store=store)
    assert {"store", "read"} <= spans.inside(spans.call("Session"))
    assert {facts(span)["seqserve.operation"] for span in spans.named("store")} >= {"create"}


async def test_a_call_that_fails_says_how_and_a_trace_holds_no_words(
    tmp_path: Path, collected: tuple[Collector, str]
) -> None:
    async def fail(toys: Toys) -> None:
        await refused(toys.sequence.Translate(pb.TranslateRequest(model=model(), texts=["cuatro " * 30])))

    spans = await traced(tmp_path, collected, fail, lambda toys: stream(toys, "cuatro"))
    assert facts(spans.call("Translate"))["rpc.grpc.status_code"] == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "cuatro" not in str(spans.spans)
    assert "four" not in str(spans.spans)


async def test_a_caller_who_leaves_ends_the_span(tmp_path: Path, collected: tuple[Collector, str]) -> None:
    async def leave(toys: Toys) -> None:
        engine = toys.engine()
        engine.hold()
        call = toys.sequence.StreamTranslate(pb.StreamTranslateRequest(model=model(), text="uno"))
        await asyncio.to_thread(engine.running.wait)
        call.cancel()
        engine.let_go()

    spans = await traced(tmp_path, collected, leave)
    code = facts(spans.call("StreamTranslate"))["rpc.grpc.status_code"]
    assert code == grpc.StatusCode.CANCELLED.value[0]


async def test_nothing_is_traced_unless_an_endpoint_is_set(tmp_path: Path) -> None:
    assert tracing.Tracing.of(Settings().trace) is None
    seen: Sequence[object] = [CURRENT.get()]
    async with serve_toys(tmp_path) as toys:
        await translate(toys, "uno")
    assert seen == [None]


async def test_a_collector_that_is_away_harms_nobody(tmp_path: Path) -> None:
    async with serve_toys(tmp_path, trace={"endpoint": "http://127.0.0.1:1"}) as toys:
        assert await translate(toys, "uno") == ["one"]


def test_without_opentelemetry_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [name for name in sys.modules if name.startswith("opentelemetry.exporter")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter", None)
    with pytest.raises(ConfigRefused, match=r"pip install 'seqserve\[otel\]'"):
        Server(Settings.load(flags={"trace.endpoint": "http://127.0.0.1:1"}, environment={}))
