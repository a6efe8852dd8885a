"""What happens around every call, whatever its kind: its bytes are parsed, its errors become statuses, it is counted.

    door ─▶ quota ─▶ parse ─▶ servicer ─▶ responses ─▶ write
      └───────┴─────────┴─────────┴───────────┴──▶ error ─▶ status (service.api.statuses) ─▶ abort

Health and reflection speak for the server, not for its models: they pass untouched, but for the list of its parts.
"""

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any, Never, TypeVar

import grpc
import structlog
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from service import logs, until
from service.api.access import needed
from service.api.callers import Role
from service.api.calls import Calls, this_task
from service.api.statuses import STATUSES, to_status
from service.api.visits import Visit, Visits
from service.errors import InvalidInput, Overloaded, SeqserveError
from service.metrics import Metrics

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]
Handler = Any
"""A grpc.RpcMethodHandler; its fields have no types."""

REQUEST_ID = "x-request-id"
_SANE_ID = re.compile(r"[A-Za-z0-9._:/-]{1,64}")
_SERVER_ERRORS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
_USUAL = {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
"""Counted, and not worth a line each: a server with too much to do would have that to do, too."""

log = structlog.get_logger("seqserve.calls")


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Every call ends with exactly one status and is counted once, by method and code."""

    def __init__(self, calls: Calls, metrics: Metrics, visits: Visits) -> None:
        self._calls = calls
        self._metrics = metrics
        self._visits = visits

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler, method = await continuation(handler_call_details), handler_call_details.method
        if handler is None or (method.startswith("/grpc.") and needed(method) is Role.NONE):
            return handler
        behavior = (
            self._streaming(handler, method) if handler.response_streaming else self._single(handler, method)
        )
        kind = _STREAMING if handler.response_streaming else _SINGLE
        return kind(behavior, response_serializer=handler.response_serializer)

    def _single(self, handler: Handler, method: str) -> Callable[[Any, Context], Awaitable[Any]]:
        behavior = handler.stream_unary or handler.unary_unary

        async def answer(request: Any, context: Context, visit: Visit) -> Any:
            response = await behavior(await _parsed(handler, request, context, visit), context)
            visit.count_response(response)
            _show("answered", response)
            return response

        async def watched(request: Any, context: Context) -> Any:  # gRPC tells the kinds apart by `async def`
            return await self._watched(method, context, partial(answer, request, context))

        return watched

    def _streaming(self, handler: Handler, method: str) -> Callable[[Any, Context], Awaitable[None]]:
        behavior = handler.stream_stream or handler.unary_stream

        async def answer(request: Any, context: Context, visit: Visit) -> None:
            # Closed here, at once: a caller who leaves while a message is being written must not hold its slot.
            requests = await _parsed(handler, request, context, visit)
            # The headers go by themselves: a status can then follow a first answer that is not read. With them a call
            # has begun, and no gRPC client tries it again by itself: a long one at once, others when they are answered.
            has_begun, connection = handler.request_streaming, context.peer()
            if has_begun:
                await context.send_initial_metadata(())
            async with aclosing(behavior(requests, context)) as responses:
                async for response in responses:
                    if not has_begun:
                        await context.send_initial_metadata(())
                        has_begun = True
                    visit.count_response(response)
                    _show("answered", response)
                    visit.patience.begin(visit.task, "reads", connection)
                    await context.write(response)
                    visit.patience.end(visit.task)

        async def watched(request: Any, context: Context) -> None:
            await self._watched(method, context, partial(answer, request, context), streams=True)

        return watched

    async def _watched(
        self,
        method: str,
        context: Context,
        answer: Callable[[Visit], Coroutine[Any, Any, T]],
        *,
        streams: bool = False,
    ) -> T:
        patience, task = self._visits.patience, this_task()
        started, request_id, code = time.perf_counter(), _request_id(context), grpc.StatusCode.OK
        context.set_trailing_metadata(((REQUEST_ID, request_id),))
        logs.belongs_to(request_id=request_id)
        until.begin(context.time_remaining())
        error: SeqserveError | None = None
        try:
            with self._calls.inside(), self._visits.visit(method, context, streams=streams) as visit:
                return await answer(visit)
        except asyncio.CancelledError:
            error = patience.turned_out(task)
            code = STATUSES[type(error)] if error else _why_cancelled(context)
            if error is None:
                raise
        except SeqserveError as refusal:
            error, code = refusal, STATUSES[type(refusal)]
        except grpc.aio.InternalError as left:
            # Nothing can be said on this call any more: its caller has left, and that is not known here yet.
            code = _why_cancelled(context)
            raise asyncio.CancelledError from left
        except Exception as fault:
            if str(fault) == NO_THREAD:
                error, code = _out_of_threads(), STATUSES[Overloaded]
                log.error("no thread can be begun", method=method, request_id=request_id)
            else:
                error, code = _unforeseen(request_id), grpc.StatusCode.INTERNAL
                log.exception(
                    "a call failed in a way that was not foreseen", method=method, request_id=request_id
                )
        finally:
            patience.answered(task, context)
            seconds = time.perf_counter() - started
            self._metrics.requests.labels(method, code.name).inc()
            self._metrics.request_seconds.labels(method).observe(seconds)
            _log_call(method, code, request_id, seconds)
        return await _abort(context, error, request_id)


DEADLINE_SLACK_S = 0.1
"""A caller's own clock ends its call first: the deadline travels rounded up, and counts from its arrival here."""

NO_THREAD = "can't start new thread"
"""What Python says where the system, or a limit on it, gives no more."""
RETRY_AFTER_S = 1.0

_SINGLE, _STREAMING = grpc.stream_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
"""For every method: also a single request is read by us, so that we know how long it takes, and who sends it. None has
a deserializer: the bytes come to us."""


async def _parsed(handler: Handler, requests: AsyncIterator[bytes], context: Context, visit: Visit) -> Any:
    """The request of a method that takes one, the stream of them of one that takes many."""
    if handler.request_streaming:
        return _parsed_stream(handler, requests, visit)
    with visit.patience.waiting(visit.task, "sends"):
        request = await context.read()
    if request is grpc.aio.EOF:
        raise InvalidInput("the call brought no request")
    return _parse(handler, request, visit)


async def _parsed_stream(
    handler: Handler, requests: AsyncIterator[bytes], visit: Visit
) -> AsyncIterator[Any]:
    # For the first one; how long a stream may be silent after it is its servicer's.
    visit.patience.begin(visit.task, "opens")
    try:
        async for request in requests:
            visit.patience.end(visit.task)
            yield _parse(handler, request, visit)
    finally:
        visit.patience.end(visit.task)


def _parse(handler: Handler, request: bytes, visit: Visit) -> Any:
    visit.begin_request()
    try:
        message = handler.request_deserializer(request)
    except DecodeError:
        raise InvalidInput(
            "the bytes are no request of this method, or a text in it is not valid UTF-8"
        ) from None
    visit.count_request(message)
    _show("asked", message)
    return message


def _show(event: str, message: Any) -> None:
    """Only where the log was asked to show texts."""
    if logs.shows_texts:
        log.debug(event, message=MessageToDict(message))


async def _abort(context: Context, error: SeqserveError, request_id: str) -> Never:
    """Behind what was written before, which may still lie there unread: it then takes until that is read."""
    status = to_status(error)
    metadata: Any = (*status.trailing_metadata, (REQUEST_ID, request_id))
    try:
        await context.abort(status.code, status.details, metadata)
    except grpc.aio.AbortError:
        raise
    except Exception:  # its reader has left meanwhile; the call ends without one
        raise asyncio.CancelledError from None


def _out_of_threads() -> SeqserveError:
    return Overloaded("the server can begin no thread for this now; try again", retry_after_s=RETRY_AFTER_S)


def _unforeseen(request_id: str) -> SeqserveError:
    return SeqserveError(f"something went wrong in the server; its log tells more about request {request_id}")


def _request_id(context: Context) -> str:
    """The caller's own id where it sent a sane one."""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID and isinstance(value, str) and _SANE_ID.fullmatch(value):
            return value
    return secrets.token_hex(8)


def _why_cancelled(context: Context) -> grpc.StatusCode:
    remaining: float | None = context.time_remaining()  # None without a deadline, whatever the stubs say
    is_over = remaining is not None and remaining <= DEADLINE_SLACK_S
    return grpc.StatusCode.DEADLINE_EXCEEDED if is_over else grpc.StatusCode.CANCELLED


def _log_call(method: str, code: grpc.StatusCode, request_id: str, seconds: float) -> None:
    write = log.debug if code in _USUAL else log.error if code in _SERVER_ERRORS else log.info
    write("call", method=method, code=code.name, request_id=request_id, ms=round(seconds * 1000, 1))
