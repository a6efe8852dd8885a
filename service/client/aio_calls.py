"""How the async client reaches a server: its channels, and requests that are sent elsewhere or later where need be."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc.aio
from grpc_health.v1.health_pb2_grpc import HealthStub

from seqserve.v1.model_pb2_grpc import ModelServiceStub
from seqserve.v1.sequence_pb2_grpc import SequenceServiceStub
from seqserve.v1.session_pb2_grpc import SessionServiceStub
from service.client.aio_patience import AsyncPatientChannel
from service.client.aio_pipeline import AsyncPipeline
from service.client.base import MAX_WAITS, ClientBase, complete, counted_from, wait_s, wrong_text
from service.client.errors import ClientError, Overloaded, Unavailable, as_client_errors
from service.client.multiplex import MultiplexedChannel
from service.client.streams import Message

if TYPE_CHECKING:
    from seqserve.v1.model_pb2_grpc import ModelServiceAsyncStub
    from seqserve.v1.sequence_pb2_grpc import SequenceServiceAsyncStub
    from seqserve.v1.session_pb2_grpc import SessionServiceAsyncStub

A = TypeVar("A")
R = TypeVar("R")

Send = Callable[[list[str]], Awaitable[A]]
Texts = Iterable[str] | AsyncIterable[str]


class AsyncCalls(ClientBase):
    """What the methods of the client are built on; a context manager that closes the connection."""

    async def close(self) -> None:
        """Close the connection; what is under way is cancelled."""
        self._closed = True
        for one in self._opened:
            await one.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _connect(self) -> None:
        self._opened: list[grpc.aio.Channel] = []
        self._ways: list[grpc.aio.Channel] = []

    def _channels(self) -> list[grpc.aio.Channel]:
        """The channels belong to the event loop that runs at their first use."""
        self._check_open()
        if not self._opened:
            self._opened = self._open(grpc.aio.insecure_channel, grpc.aio.secure_channel)
            shared = (
                [MultiplexedChannel(one, self._over(one), self._max_attempts) for one in self._opened]
                if self._multiplex
                else []
            )
            self._ways = [self._over(one) for one in shared or self._opened]
        return self._ways

    def _channel(self) -> grpc.aio.Channel:
        return self._in_turn(self._channels())[self._current % len(self.addresses)]

    @property
    def _sequences(self) -> "SequenceServiceAsyncStub":
        patient: Any = AsyncPatientChannel(self._channel(), self._gates[self.address])
        stub: SequenceServiceAsyncStub = SequenceServiceStub(patient)
        return stub

    @property
    def _models(self) -> "ModelServiceAsyncStub":
        return ModelServiceStub(self._channel())

    @property
    def _stored(self) -> "SessionServiceAsyncStub":
        return SessionServiceStub(self._channel())

    @property
    def _health(self) -> Any:
        return HealthStub(self._channel())

    async def _only(self, read: Callable[[A], list[R]], send: Send[A], text: str) -> R:
        return complete(read(await self._result(send, [text])), [text])[0]

    async def _many(self, read: Callable[[A], list[R]], send: Send[A], texts: Texts) -> AsyncIterator[R]:
        start = 0
        pipeline = AsyncPipeline(texts, lambda batch: self._patiently(send, batch), self._batches())
        async for batch, task in pipeline:
            try:
                answers = complete(read(await task), batch)
            except ClientError as error:
                good = wrong_text(error) or 0
                if good:
                    for answer in read(await self._result(send, batch[:good])):
                        yield answer
                raise counted_from(start, error) from error
            for answer in answers:
                yield answer
            start += len(batch)

    async def _patiently(self, send: Send[A], batch: list[str]) -> A:
        for _ in range(MAX_WAITS):
            try:
                return await self._result(send, batch)
            except Overloaded as error:
                await asyncio.sleep(wait_s(error))
        return await self._result(send, batch)

    async def _result(self, send: Send[A], batch: list[str]) -> A:
        return await self._asked(lambda: send(batch))

    async def _asked(self, ask: Callable[[], Awaitable[A]]) -> A:
        for _ in self.addresses[1:]:
            try:
                with as_client_errors(self.address):
                    return await ask()
            except Unavailable:
                self._turn_elsewhere()
        with as_client_errors(self.address):
            return await ask()

    async def _messages(self, call: AsyncIterable[Message]) -> AsyncIterator[Message]:
        with as_client_errors(self.address):
            async for message in call:
                yield message
