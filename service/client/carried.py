"""A call that shares its stream with others: as much of grpc.aio's own as this client uses."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import grpc.aio

from seqserve.v1.multiplex_pb2 import Begin, Ended, Frame
from service.client.channel import MAX_MESSAGE_BYTES
from service.multiplex import Flooded, Inbox, Outbox, Window, cost_of, metadata_of, parts_of

Code = grpc.StatusCode
CODES = {code.value[0]: code for code in Code}
Serialize = Callable[[Any], bytes]


class Carried:
    """What is known of a call: it is held by its line, and not by its reader alone."""

    def __init__(
        self, begin: Begin, request: Any, serialize: Serialize, deserialize: Callable[[bytes], Any]
    ) -> None:
        """`request` is the only one; None where they are written one by one."""
        self._begin = begin
        self._request = None if request is None else serialize(request)
        self._serialize = serialize
        self._deserialize = deserialize
        self._inbox, self._window = Inbox(MAX_MESSAGE_BYTES), Window()
        self._error: BaseException | None = None
        self._ended = False
        self.loop = asyncio.get_running_loop()
        timeout_s = begin.timeout.seconds + begin.timeout.nanos / 1e9 if begin.HasField("timeout") else None
        self._timer = None if timeout_s is None else self.loop.call_later(timeout_s, self._be_late)
        self.attempts = 0
        self.is_heard = False
        """Whether the server has answered anything."""

    def go(self, number: int, outbox: Outbox, forget: Callable[[], object]) -> None:
        """Go out, from the beginning; whoever reads it goes on reading."""
        self._number, self._outbox, self._forget = number, outbox, forget
        self._window = Window()
        self.attempts += 1
        outbox.lay(Frame(call=number, begin=self._begin))
        if self._request is not None:
            for part in parts_of(number, self._request):
                self._window.spend(cost_of(part.message))
                outbox.lay(part)
            outbox.lay(Frame(call=number, half_close=True))

    @property
    def can_go_again(self) -> bool:
        """Whether it is as if it had never gone."""
        return self._request is not None and not self.is_heard and not self._ended

    def take(self, frame: Frame) -> None:
        """What the server says."""
        try:
            if frame.HasField("message"):
                self.is_heard = True
                self._inbox.take(frame.message, frame.more)
                self._grant()
        except Flooded as error:
            self.leave(status_error(Code.RESOURCE_EXHAUSTED, str(error)))
        if frame.credit:
            self._window.grant(frame.credit)
        if frame.HasField("ended"):
            self.end(_error_of(frame.ended))

    async def write(self, request: Any) -> None:
        """Send another request, when the server has room for it."""
        for part in parts_of(self._number, self._serialize(request)):
            while not self._window.is_open and not self._ended:
                await self._window.woken()
            if self._ended:
                raise self._error or asyncio.InvalidStateError("the call has ended")
            self._window.spend(cost_of(part.message))
            self._outbox.lay(part)

    async def read(self) -> Any:
        """The next answer, or EOF; then, and not before, the error that the call ended with."""
        message = await self._inbox.next()
        if message is None:
            if self._error is not None:
                raise self._error
            return grpc.aio.EOF
        self._grant()
        return self._deserialize(message)

    def leave(self, error: BaseException) -> None:
        """End the call from this side; its reader gets the error."""
        if not self._ended:
            self._outbox.lay(Frame(call=self._number, cancel=True))
            self.end(error)

    def end(self, error: BaseException | None) -> None:
        """No more comes; where it went well, `error` is None."""
        self._ended, self._error = True, error
        self._forget()
        if self._timer is not None:
            self._timer.cancel()
        self._inbox.end()
        self._window.wake()

    def _be_late(self) -> None:
        self.leave(status_error(Code.DEADLINE_EXCEEDED, "Deadline Exceeded"))

    def _grant(self) -> None:
        if (credit := self._inbox.credit()) and not self._ended:
            self._outbox.lay(Frame(call=self._number, credit=credit))


class CarriedCall:
    """A call in its reader's hands: when he drops it, it ends."""

    def __init__(self, carried: Carried) -> None:
        self._carried = carried

    async def write(self, request: Any) -> None:
        await self._carried.write(request)

    async def read(self) -> Any:
        return await self._carried.read()

    def cancel(self) -> bool:
        """End it; who reads it is told by a CancelledError."""
        self._carried.leave(asyncio.CancelledError())
        return True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        answer = await self._carried.read()
        if answer is grpc.aio.EOF:
            raise StopAsyncIteration
        return answer

    def __del__(self) -> None:
        """May be called on any thread."""
        with suppress(RuntimeError):  # the loop is closed, and the line with it
            self._carried.loop.call_soon_threadsafe(self._carried.leave, asyncio.CancelledError())


def status_error(code: Code, words: str, trailers: Any = ()) -> grpc.aio.AioRpcError:
    """As grpc.aio raises it."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), words)


def _error_of(ended: Ended) -> grpc.aio.AioRpcError | None:
    if not ended.code:
        return None
    return status_error(CODES.get(ended.code, Code.UNKNOWN), ended.message, metadata_of(ended.trailers))
