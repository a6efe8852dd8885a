"""A channel whose streams share one stream of gRPC: for processes that hold many sessions or read many texts at once.

stub ─▶ MultiplexedChannel ─┬ streams ─▶ Line ─▶ one Multiplex call
                            └ the rest ─▶ the channel itself
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import grpc.aio

from seqserve.v1.multiplex_pb2 import Begin, MultiplexRequest
from seqserve.v1.multiplex_pb2_grpc import MultiplexServiceStub
from service.client.carried import Carried, CarriedCall, Serialize, status_error
from service.client.errors import NOT_WRITTEN, TURNED_AWAY
from service.multiplex import Outbox, headers_of

Code = grpc.StatusCode
AGAIN = Code.UNAVAILABLE, Code.CANCELLED
"""As `service.client.channel` has gRPC do for calls of their own. Where a server has too much to do for the common
stream, each call in it is made again as one that came by itself (`service.client.aio_patience`)."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 2.0
"""Before a call is sent again."""
NOT_THERE = "the server does not carry many calls in one stream; make the client without multiplex=True"


class MultiplexedChannel:
    """It makes calls, and nothing else. Belongs to one event loop."""

    def __init__(self, channel: Any, opening: Any, max_attempts: int) -> None:
        """`opening` is the channel by which the common stream itself is called."""
        self._channel = channel
        self._stub: Any = MultiplexServiceStub(opening)
        self._max_attempts = max_attempts
        self._line: Line | None = None

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._channel.unary_unary(*args, **kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._channel.stream_unary(*args, **kwargs)

    def unary_stream(
        self, method: str, request_serializer: Serialize, response_deserializer: Any, **_: Any
    ) -> Any:
        def call(request: Any, *, timeout: float | None = None, metadata: Any = ()) -> CarriedCall:
            begin = _beginning(method, timeout, metadata)
            return self._gone(Carried(begin, request, request_serializer, response_deserializer))

        return call

    def stream_stream(
        self, method: str, request_serializer: Serialize, response_deserializer: Any, **_: Any
    ) -> Any:
        def call(*, timeout: float | None = None, metadata: Any = ()) -> CarriedCall:
            begin = _beginning(method, timeout, metadata)
            return self._gone(Carried(begin, None, request_serializer, response_deserializer))

        return call

    def _gone(self, carried: Carried) -> CarriedCall:
        self._send(carried)
        return CarriedCall(carried)

    def _send(self, carried: Carried) -> None:
        """By the present line; by another one where the last has broken."""
        if self._line is None or self._line.is_broken:
            self._line = Line(self._stub.Multiplex(), self._goes_again)
        self._line.send(carried)

    def _goes_again(self, carried: Carried) -> bool:
        """A line has broken: what was asked and not answered at all is asked again, as gRPC itself does."""
        if not carried.can_go_again or carried.attempts >= self._max_attempts:
            return False
        wait_s = min(FIRST_WAIT_S * 2 ** (carried.attempts - 1), LONGEST_WAIT_S) * random.uniform(0.75, 1.25)
        asyncio.get_running_loop().call_later(wait_s, self._send_again, carried)
        return True

    def _send_again(self, carried: Carried) -> None:
        if not carried.can_go_again:  # its time is over, or nobody reads it any more
            return
        try:
            self._send(carried)
        except grpc.aio.UsageError:  # the client was closed meanwhile
            carried.end(asyncio.CancelledError())


class Line:
    """One stream, and the calls in it; when it breaks, all of them do."""

    def __init__(self, stream: Any, goes_again: Callable[[Carried], bool]) -> None:
        """`goes_again` is asked of each call when the stream breaks, and has sent it elsewhere if it says so."""
        self._stream = stream
        self._goes_again = goes_again
        self._outbox = Outbox()
        self._carried: dict[int, Carried] = {}
        self._next = 0
        self.is_broken = False
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]

    def send(self, carried: Carried) -> None:
        """Let a call go this way."""
        number, self._next = self._next, self._next + 1
        self._carried[number] = carried
        carried.go(number, self._outbox, lambda: self._carried.pop(number, None))

    async def _write(self) -> None:
        try:
            while (frames := await self._outbox.next()) is not None:
                await self._stream.write(MultiplexRequest(frames=frames))
        except (grpc.RpcError, grpc.aio.InternalError, asyncio.InvalidStateError):
            pass  # the reader hears why

    async def _read(self) -> None:
        error: BaseException = status_error(Code.UNAVAILABLE, "the server ended the common stream")
        try:
            async for answer in self._stream:
                for frame in answer.frames:
                    if (carried := self._carried.get(frame.call)) is not None:
                        carried.take(frame)
        except grpc.aio.AioRpcError as raised:
            error = raised
            if raised.code() is Code.UNIMPLEMENTED:
                error = status_error(Code.UNIMPLEMENTED, NOT_THERE)
        except asyncio.CancelledError as raised:  # the client was closed, or its loop
            error = raised
        except Exception as raised:  # what it says makes no sense: its calls end all the same
            error = status_error(Code.INTERNAL, f"the common stream could not be read: {raised!r}")
        self._break(error)

    def _break(self, error: BaseException) -> None:
        self.is_broken = True
        self._outbox.end()
        self._stream.cancel()
        may_go = _may_go_again(error)
        for carried in list(self._carried.values()):
            if not (may_go and self._goes_again(carried)):
                carried.end(error)


def _may_go_again(error: BaseException) -> bool:
    """Whether what a line carried may go by another one after this."""
    if not isinstance(error, grpc.aio.AioRpcError) or error.details() == TURNED_AWAY:
        return False
    return error.code() in AGAIN or error.details() == NOT_WRITTEN


def _beginning(method: str, timeout: float | None, metadata: Any) -> Begin:
    begin = Begin(method=method, headers=headers_of(metadata or ()))
    if timeout is not None:
        begin.timeout.FromNanoseconds(max(0, round(timeout * 1e9)))
    return begin
