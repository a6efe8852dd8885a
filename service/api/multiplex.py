"""MultiplexService: many calls in one stream, each answered as if it had come by itself.

Frames ─▶ Carriage ─┬▶ CarriedCall ─▶ interceptors ─▶ servicer
Frames ◀─ outbox ◀──┴─ CarriedCall ◀──────┘
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import grpc
import structlog

from seqserve.v1 import multiplex_pb2, multiplex_pb2_grpc
from service.api.access import MULTIPLEX
from service.api.calls import Calls
from service.api.carried import CarriedCall
from service.api.handlers import Handler, Handlers
from service.api.statuses import to_status
from service.config import ServerSettings
from service.errors import InvalidInput, NotOffered, Overloaded, SeqserveError
from service.multiplex import MAX_FRAMES, Outbox

Code = grpc.StatusCode
Context = grpc.aio.ServicerContext[Any, Any]

CARRIED = "/seqserve.v1.", "/inference."
"""What can be carried: everything but this itself, health and reflection."""
RETRY_AFTER_S = 1.0

log = structlog.get_logger("seqserve.calls")


class MultiplexServicer(multiplex_pb2_grpc.MultiplexServiceServicer):
    """Each of its streams is a carriage."""

    def __init__(self, handlers: Handlers, settings: ServerSettings, calls: Calls) -> None:
        self._handlers = handlers
        self._settings = settings
        self._calls = calls
        self._carried: Counter[str] = Counter()
        """Connection → how many calls its streams carry now."""

    async def Multiplex(  # noqa: N802  (named by the proto)
        self, request_iterator: AsyncIterator[multiplex_pb2.MultiplexRequest], context: Context
    ) -> AsyncGenerator[multiplex_pb2.MultiplexResponse, None]:
        carriage = Carriage(self._handlers, self._settings, context, self._carried)
        reading = asyncio.create_task(carriage.read(request_iterator))
        try:
            while (frames := await self._next(carriage)) is not None:
                yield multiplex_pb2.MultiplexResponse(frames=frames)
        finally:
            await carriage.close(reading)

    async def _next(self, carriage: "Carriage") -> list[multiplex_pb2.Frame] | None:
        """Idle is a stream without calls: a server that goes away ends it, and so does a long time."""
        try:
            while carriage.is_idle:
                with self._calls.idle():
                    async with asyncio.timeout(self._settings.max_idle_s):
                        await carriage.outbox.woken()
        except TimeoutError:
            return None
        return await carriage.outbox.next()


class Carriage:
    """The calls of one stream."""

    def __init__(
        self, handlers: Handlers, settings: ServerSettings, context: Context, carried: Counter[str]
    ) -> None:
        self.outbox = Outbox()
        self._handlers = handlers
        self._settings = settings
        self._context = context
        self._carried, self._peer = carried, context.peer()
        self._calls: dict[int, tuple[CarriedCall, asyncio.Task[None]]] = {}
        self._last = -1
        self._over = False

    @property
    def is_idle(self) -> bool:
        """Whether it carries nothing now, and may carry more."""
        return not (self._calls or self.outbox or self._over)

    async def read(self, requests: AsyncIterator[multiplex_pb2.MultiplexRequest]) -> None:
        """Take what comes until nothing more does; then those who are inside may end."""
        error: Exception | None = None
        try:
            async for request in requests:
                if len(request.frames) > MAX_FRAMES:
                    raise InvalidInput(f"at most {MAX_FRAMES:,} frames come at once", field="frames")
                for frame in request.frames:
                    self._take(frame)
                await self.outbox.room()
        except Exception as raised:
            error = raised
        self._over = True
        for call, _ in self._calls.values():
            call.hear_no_more()
        if error or not self._calls:
            self.outbox.end(error)

    async def close(self, reading: "asyncio.Task[None]") -> None:
        """Nobody is there any more: end all."""
        tasks = [reading, *(task for _, task in self._calls.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _take(self, frame: multiplex_pb2.Frame) -> None:
        if frame.HasField("begin"):
            self._begin(frame.call, frame.begin)
        if frame.call > self._last:
            raise InvalidInput(f"call {frame.call} was never begun", field="frames.call")
        if frame.call not in self._calls:
            return  # it has ended, and whoever sends this does not know it yet
        call, task = self._calls[frame.call]
        if not call.take(frame) or frame.cancel:
            task.cancel()

    def _begin(self, number: int, begin: multiplex_pb2.Begin) -> None:
        if number <= self._last:
            raise InvalidInput(f"call {number} comes after {self._last}: numbers rise", field="frames.call")
        self._last = number
        call = CarriedCall(number, begin, self.outbox, self._context, self._settings)
        has_room = self._carried[self._peer] < self._settings.max_concurrent_streams
        task = asyncio.create_task(self._answer(call, begin.method, has_room))
        self._calls[number] = call, task
        self._carried[self._peer] += 1
        task.add_done_callback(lambda _: self._gone(number))
        self.outbox.wake()

    def _gone(self, number: int) -> None:
        call, task = self._calls.pop(number)
        if task.cancelled():  # before it was begun
            call.cut_off()
            call.end()
        elif task.exception():
            log.error("a carried call ended in an error that is none of ours", error=repr(task.exception()))
        self._carried[self._peer] -= 1
        if not self._carried[self._peer]:
            del self._carried[self._peer]
        if self._over and not self._calls:
            self.outbox.end()
        self.outbox.wake()

    async def _answer(self, call: CarriedCall, method: str, has_room: bool) -> None:
        """As gRPC would: every call ends with exactly one status."""
        try:
            if not has_room:
                raise self._full()
            await call.answered_by(await self._handler(method))
        except grpc.aio.AbortError:
            pass
        except asyncio.CancelledError:
            call.cut_off()
        except SeqserveError as error:
            status = to_status(error)
            call.refuse(status.code, status.details, status.trailing_metadata)
        except BaseException:  # a library's panic, say, which is no Exception
            call.refuse(Code.UNKNOWN, "something went wrong in the server")
            raise
        finally:
            call.end()

    async def _handler(self, method: str) -> Handler:
        handler = (
            await self._handlers.find(method) if method.startswith(CARRIED) and method != MULTIPLEX else None
        )
        if handler is None:
            raise NotOffered(
                f"{method[:100] or 'a call without a method'} cannot be carried: there is no such method here"
            )
        return handler

    def _full(self) -> Overloaded:
        most = self._settings.max_concurrent_streams
        return Overloaded(
            f"{most:,} calls are carried on this connection already; wait for one to end",
            retry_after_s=RETRY_AFTER_S,
        )
