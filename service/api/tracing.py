"""OpenTelemetry traces: a span for each call, and in it what `service.spans` is told of. Off unless an endpoint is set.

    call ─┬─ wait    until the first batch        a W3C `traceparent` in the call's metadata makes the call a part
          ├─ read    batches that read            of its caller's trace
          ├─ write   batches that write
          └─ store   operations on the store

Spans carry methods, models, statuses and request ids; never what somebody wrote, nor who.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc

from service.config import TraceSettings
from service.errors import ConfigRefused
from service.spans import CURRENT

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

Handler = Any
"""A grpc.RpcMethodHandler; its fields have no types."""
PARENT = "traceparent", "tracestate"
REQUEST_ID = "x-request-id"


class TracingInterceptor(grpc.aio.ServerInterceptor):
    """Belongs before all others: its span is the whole call. Health and reflection are not traced."""

    def __init__(self, tracer: "Tracer") -> None:
        self._tracer = tracer

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler, method = await continuation(handler_call_details), handler_call_details.method
        if handler is None or method.startswith("/grpc."):
            return handler
        kind = f"{_WORDS[handler.request_streaming]}_{_WORDS[handler.response_streaming]}"
        traced = partial(_traced, self._tracer, method, getattr(handler, kind))

        async def answer(request: Any, context: Any) -> Any:  # gRPC tells the kinds apart by `async def`
            return await traced(request, context)

        make = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(answer, handler.request_deserializer, handler.response_serializer)


_WORDS = {False: "unary", True: "stream"}


class CallTrace:
    """A `service.spans.Trace` that makes spans below the call's."""

    def __init__(self, tracer: "Tracer", inside: "Context") -> None:
        self._tracer = tracer
        self._inside = inside

    def span(self, name: str, began_ns: int, ended_ns: int, facts: dict[str, str]) -> None:
        attributes = {f"seqserve.{key}": value for key, value in facts.items()}
        span = self._tracer.start_span(name, self._inside, attributes=attributes, start_time=began_ns)
        span.end(ended_ns)


async def _traced(
    tracer: "Tracer", method: str, behavior: Callable[..., Any], request: Any, context: Any
) -> Any:
    from opentelemetry.trace import SpanKind, set_span_in_context

    service, _, name = method[1:].partition("/")
    attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
    span = tracer.start_span(method[1:], _parent(context), kind=SpanKind.SERVER, attributes=attributes)
    trace = CallTrace(tracer, set_span_in_context(span)) if span.is_recording() else None
    token = CURRENT.set(trace)
    was_cut_off = False
    try:
        return await behavior(request, context)
    except asyncio.CancelledError:
        was_cut_off = True
        raise
    finally:
        CURRENT.reset(token)
        _finish(span, context, was_cut_off)


def _parent(context: Any) -> "Context":
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    sent = {key: value for key, value in context.invocation_metadata() or () if key in PARENT}
    return TraceContextTextMapPropagator().extract(sent)


def _finish(span: "Span", context: Any, was_cut_off: bool) -> None:
    """Say how the call ended: by its code, which it does not have yet when it was cut off."""
    from opentelemetry.trace import Status, StatusCode

    code = context.code()
    number = code.value[0] if isinstance(code, grpc.StatusCode) else int(code or 0)
    if was_cut_off and not number:
        number = grpc.StatusCode.CANCELLED.value[0]
    span.set_attribute("rpc.grpc.status_code", number)
    for key, value in context.trailing_metadata() or ():
        if key == REQUEST_ID:
            span.set_attribute("seqserve.request_id", value)
    if number in _FAULTS:
        span.set_status(Status(StatusCode.ERROR))
    span.end()


_FAULTS = {
    code.value[0] for code in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS)
}


class Tracing:
    """The way to the collector: spans leave in batches, on a thread of their own, and are dropped when it is away."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider

    @classmethod
    def of(cls, settings: TraceSettings) -> "Tracing | None":
        """None where it is off; ConfigRefused where what it needs is not installed."""
        if not settings.endpoint:
            return None
        try:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
        except ModuleNotFoundError:
            raise ConfigRefused(
                "trace.endpoint is set, and OpenTelemetry is not installed: pip install 'seqserve[otel]'"
            ) from None
        provider = TracerProvider(
            sampler=ParentBasedTraceIdRatio(settings.sample),
            resource=Resource.create({"service.name": settings.service_name}),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(settings.endpoint)))
        return cls(provider)

    def interceptor(self) -> TracingInterceptor:
        return TracingInterceptor(self._provider.get_tracer("seqserve"))

    def close(self) -> None:
        """Send what is left. Blocks."""
        self._provider.shutdown()
