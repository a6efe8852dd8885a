"""A call that came in a stream with others: what gRPC's own context is to a servicer, for as long as it lasts."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Never

import grpc

from seqserve.v1.multiplex_pb2 import Begin, Ended, Frame
from service.api.calls import this_task
from service.config import ServerSettings
from service.errors import InvalidInput
from service.multiplex import (
    Flooded,
    Inbox,
    Metadata,
    Outbox,
    Window,
    cost_of,
    headers_of,
    metadata_of,
    parts_of,
    size_of,
)

Code = grpc.StatusCode


class CarriedCall:
    """A ServicerContext, as far as anybody here asks one; requests come in as bytes."""

    def __init__(
        self, number: int, begin: Begin, outbox: Outbox, outer: Any, settings: ServerSettings
    ) -> None:
        """`outer` is the context of the stream that carries it."""
        self._number = number
        self._begin = begin
        self._outbox = outbox
        self._outer = outer
        self._max_bytes = settings.max_message_bytes
        self._max_metadata_bytes = settings.max_metadata_bytes
        self._metadata: Metadata = ()
        self._inbox = Inbox(self._max_bytes)
        self._window = Window()
        self._until = _until(begin)
        self._trailers: Metadata = ()
        self._code: Code | None = None
        self._words = ""
        self._serialize: Callable[[Any], bytes] = bytes

    def take(self, frame: Frame) -> bool:
        """What the client sends; whether it may go on."""
        try:
            if frame.HasField("message"):
                self._inbox.take(frame.message, frame.more)
                self._grant()
        except Flooded as error:
            self.refuse(Code.RESOURCE_EXHAUSTED, str(error))
            return False
        if frame.credit:
            self._window.grant(frame.credit)
        if frame.half_close:
            self.hear_no_more()
        return True

    def hear_no_more(self) -> None:
        """The client sends nothing further, in this call or at all."""
        self._inbox.end()

    async def answered_by(self, handler: Any) -> None:
        """Be answered, for as long as its caller waits; `handler` is inside the interceptors."""
        if (size := size_of(self._begin.headers)) > self._max_metadata_bytes:
            await self.abort(
                Code.RESOURCE_EXHAUSTED,
                f"headers of {size:,} bytes: at most {self._max_metadata_bytes:,} are taken",
            )
        self._metadata, self._serialize = _metadata(self._begin), handler.response_serializer
        left_s, timer = self.time_remaining(), None
        if left_s is not None:
            timer = asyncio.get_running_loop().call_later(max(0.0, left_s), this_task().cancel)
        try:
            if handler.response_streaming:
                await handler.stream_stream(self.requests(), self)
            else:
                await self.write(await handler.stream_unary(self.requests(), self))
        finally:
            if timer is not None:
                timer.cancel()

    async def read(self) -> Any:
        """The next request's bytes, or EOF."""
        message = await self._inbox.next()
        self._grant()
        return grpc.aio.EOF if message is None else message

    async def requests(self) -> AsyncIterator[bytes]:
        """All of them."""
        while (message := await self._inbox.next()) is not None:
            self._grant()
            yield message

    async def write(self, answer: Any) -> None:
        """Send an answer, when its reader has room for it."""
        message = self._serialize(answer)
        if len(message) > self._max_bytes:
            await self.abort(
                Code.RESOURCE_EXHAUSTED,
                f"an answer of {len(message):,} bytes: at most {self._max_bytes:,} are sent",
            )
        for part in parts_of(self._number, message):
            while not self._window.is_open:
                await self._window.woken()
            self._window.spend(cost_of(part.message))
            self._outbox.lay(part)

    async def send_initial_metadata(self, metadata: Any) -> None:
        """There is nothing to say before the first answer."""

    async def abort(self, code: Code, details: str = "", trailing_metadata: Metadata = ()) -> Never:
        self.refuse(code, details, trailing_metadata)
        raise grpc.aio.AbortError

    def refuse(self, code: Code, words: str, trailers: Metadata = ()) -> None:
        """It will end with this status."""
        self._code, self._words, self._trailers = code, words, tuple(trailers) or self._trailers

    def cut_off(self) -> None:
        """It was cancelled: by its caller or his deadline, unless it was refused before."""
        if self._code is None:
            left_s = self.time_remaining()
            over = left_s is not None and left_s <= 0
            self.refuse(Code.DEADLINE_EXCEEDED if over else Code.CANCELLED, "the call was cut off")

    def end(self) -> None:
        """Say how it ended."""
        code, trailers = self.code().value[0], headers_of(self._trailers)
        ended = Ended(code=code, message=self._words, trailers=trailers)
        self._outbox.lay(Frame(call=self._number, ended=ended))

    def invocation_metadata(self) -> Metadata:
        return self._metadata

    def time_remaining(self) -> float | None:
        return None if self._until is None else self._until - time.monotonic()

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        self._trailers = tuple(metadata)

    def trailing_metadata(self) -> Metadata:
        return self._trailers

    def code(self) -> Code:
        return self._code or Code.OK

    def peer(self) -> str:
        return str(self._outer.peer())

    def auth_context(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._outer.auth_context()
        return found

    def _grant(self) -> None:
        if credit := self._inbox.credit():
            self._outbox.lay(Frame(call=self._number, credit=credit))


def _until(begin: Begin) -> float | None:
    if not begin.HasField("timeout"):
        return None
    return time.monotonic() + begin.timeout.seconds + begin.timeout.nanos / 1e9


def _metadata(begin: Begin) -> Metadata:
    try:
        return metadata_of(begin.headers)
    except ValueError as error:
        raise InvalidInput(str(error), field="begin.headers") from None
