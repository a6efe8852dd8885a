"""A channel whose streams share one stream of gRPC: for processes that hold many sessions or read many texts at once.

stub ─▶ MultiplexedChannel ─┬ streams ─▶ Line ─▶ one Multiplex call
                            └ the rest ─▶ the channel itself
"""

import asyncio
from typing import Any

import grpc.aio

from seqserve.v1.multiplex_pb2 import Begin
from seqserve.v1.multiplex_pb2_grpc import MultiplexServiceStub
from service.client.carried import Carried, CarriedCall, Serialize, status_error
from service.multiplex import Outbox, headers_of

Code = grpc.StatusCode
NOT_THERE = "the server does not carry many calls in one stream; make the client without multiplex=True"


class MultiplexedChannel:
    """It makes calls, and nothing else. Belongs to one event loop."""

    def __init__(self, channel: Any, opening: Any) -> None:
        """`opening` is the channel by which the common stream itself is called."""
        self._channel = channel
        self._stub: Any = MultiplexServiceStub(opening)
        self._line: Line | None = None

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._channel.unary_unary(*args, **kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._channel.stream_unary(*args, **kwargs)

    def unary_stream(
        self, method: str, request_serializer: Serialize, response_deserializer: Any, **_: Any
    ) -> Any:
        def call(request: Any, *, timeout: float | None = None, metadata: Any = ()) -> CarriedCall:
            return self.line().begin(
                method, timeout, metadata, request_serializer, response_deserializer, request
            )

        return call

    def stream_stream(
        self, method: str, request_serializer: Serialize, response_deserializer: Any, **_: Any
    ) -> Any:
        def call(*, timeout: float | None = None, metadata: Any = ()) -> CarriedCall:
            return self.line().begin(method, timeout, metadata, request_serializer, response_deserializer)

        return call

    def line(self) -> "Line":
        """The stream that new calls go by; another one where the last has broken."""
        if self._line is None or self._line.is_broken:
            self._line = Line(self._stub.Multiplex())
        return self._line


class Line:
    """One stream, and the calls in it; when it breaks, all of them do."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._outbox = Outbox()
        self._carried: dict[int, Carried] = {}
        self._next = 0
        self.is_broken = False
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]

    def begin(
        self,
        method: str,
        timeout: float | None,
        metadata: Any,
        serialize: Serialize,
        deserialize: Any,
        request: Any = None,
    ) -> CarriedCall:
        """A call of this method; one that takes a single request is given it."""
        number, self._next = self._next, self._next + 1
        begin = Begin(method=method, headers=headers_of(metadata or ()))
        if timeout is not None:
            begin.timeout.FromNanoseconds(max(0, round(timeout * 1e9)))
        carried = Carried(
            number, self._outbox, timeout, serialize, deserialize, lambda: self._carried.pop(number, None)
        )
        self._carried[number] = carried
        carried.begin(begin, request)
        return CarriedCall(carried)

    async def _write(self) -> None:
        try:
            while (frames := await self._outbox.next()) is not None:
                await self._stream.write(frames)
        except (grpc.RpcError, asyncio.InvalidStateError):
            pass  # the reader hears why

    async def _read(self) -> None:
        error: grpc.aio.AioRpcError = status_error(Code.UNAVAILABLE, "the server ended the common stream")
        try:
            async for frames in self._stream:
                for frame in frames.frames:
                    if (carried := self._carried.get(frame.call)) is not None:
                        carried.take(frame)
        except grpc.aio.AioRpcError as raised:
            error = (
                status_error(Code.UNIMPLEMENTED, NOT_THERE) if raised.code() is Code.UNIMPLEMENTED else raised
            )
        finally:
            self._break(error)

    def _break(self, error: grpc.aio.AioRpcError) -> None:
        self.is_broken = True
        self._outbox.end()
        self._stream.cancel()
        for carried in list(self._carried.values()):
            carried.end(error)
