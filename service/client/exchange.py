"""One `Session` stream: a request goes out, an answer comes back, in order. Sync and async."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Timer
from typing import TYPE_CHECKING

import grpc.aio

from seqserve.v1.session_pb2 import SessionRequest, SessionResponse
from service.client.channel import open_channel
from service.client.errors import (
    Cancelled,
    ClientError,
    DeadlineExceeded,
    Details,
    Unavailable,
    as_client_errors,
)

if TYPE_CHECKING:
    from seqserve.v1.sequence_pb2_grpc import SequenceServiceAsyncStub, SequenceServiceStub

AFFINITY_HEADER = "seqserve-session"
"""The same for all streams of a session, so that a proxy can send them to the same server; nothing depends on it."""
LAST_WORD_S = 5.0
"""How long the end of a stream may take whose session is closed."""


class Exchange:
    """A stream over the sync channel. After any error, and after `leave`, it is used up."""

    def __init__(self, stub: "SequenceServiceStub", address: str, affinity: str = "") -> None:
        self._address = address
        self._requests: SimpleQueue[SessionRequest | None] = SimpleQueue()
        with open_channel():
            self._call = stub.Session(iter(self._requests.get, None), metadata=_metadata(affinity))

    def send(self, request: SessionRequest) -> None:
        self._requests.put(request)

    def receive(self, timeout: float | None) -> SessionResponse:
        try:
            with as_client_errors(self._address), self._within(timeout):
                return next(self._call)
        except StopIteration:
            self.leave()
            raise _ended() from None
        except BaseException:
            self.leave()
            raise

    def end(self) -> None:
        """Let the server end the stream of a session that it has closed, so that it counts as having gone well."""
        with suppress(ClientError):
            self.receive(LAST_WORD_S)

    def leave(self) -> None:
        self._requests.put(None)  # lets go the thread in which gRPC waits for requests
        self._call.cancel()

    def __del__(self) -> None:
        """The thread does not outlive a session that nobody has left."""
        if hasattr(self, "_call"):
            self.leave()

    @contextmanager
    def _within(self, timeout: float | None) -> Iterator[None]:
        """Cancel the call when its answer is late: a stream's own deadline would bound the whole conversation."""
        if timeout is None:
            yield
            return
        timer = Timer(timeout, self._call.cancel)
        timer.daemon = True
        timer.start()
        try:
            yield
        except grpc.RpcError:
            if timer.finished.is_set():
                raise _late(self._address, timeout) from None
            raise
        finally:
            timer.cancel()


class AsyncExchange:
    """A stream over the async channel. After any error, and after `leave`, it is used up."""

    def __init__(self, stub: "SequenceServiceAsyncStub", address: str, affinity: str = "") -> None:
        self._address = address
        with open_channel():
            self._call = stub.Session(metadata=_metadata(affinity))

    async def send(self, request: SessionRequest) -> None:
        """Failures show when the answer is read."""
        with suppress(grpc.RpcError, asyncio.InvalidStateError):
            await self._call.write(request)

    async def receive(self, timeout: float | None) -> SessionResponse:
        try:
            with as_client_errors(self._address):
                async with asyncio.timeout(timeout):
                    answer = await self._call.read()
        except TimeoutError:
            self.leave()
            raise _late(self._address, timeout) from None
        except asyncio.CancelledError:
            self.leave()
            if _is_cancelling():
                raise
            raise Cancelled("the session's stream was cancelled on its way", Details("CANCELLED")) from None
        except BaseException:
            self.leave()
            raise
        if isinstance(answer, SessionResponse):
            return answer
        self.leave()
        raise _ended()

    async def end(self) -> None:
        """Let the server end the stream of a session that it has closed, so that it counts as having gone well."""
        with suppress(ClientError):
            await self.receive(LAST_WORD_S)

    def leave(self) -> None:
        self._call.cancel()


def _is_cancelling() -> bool:
    """Whether this task is cancelled: grpc.aio raises the same where a proxy has cancelled the stream."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _metadata(affinity: str) -> tuple[tuple[str, str], ...]:
    return ((AFFINITY_HEADER, affinity),) if affinity else ()


def _late(address: str, timeout: float | None) -> ClientError:
    return DeadlineExceeded(f"{address} did not answer within {timeout} s; the session can be resumed")


def _ended() -> ClientError:
    return Unavailable("the server ended the session's stream without an answer")
