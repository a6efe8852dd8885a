"""How the sync client reaches a server: its channels, and requests that are sent elsewhere or later where need be."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc
from grpc_health.v1.health_pb2_grpc import HealthStub

from seqserve.v1.model_pb2_grpc import ModelServiceStub
from seqserve.v1.sequence_pb2_grpc import SequenceServiceStub
from seqserve.v1.session_pb2_grpc import SessionServiceStub
from service.client import requests
from service.client.base import MAX_WAITS, ClientBase, complete, counted_from, wait_s, wrong_text
from service.client.errors import ClientError, InvalidRequest, Overloaded, Unavailable, as_client_errors
from service.client.pipeline import Pipeline
from service.client.streams import Message
from service.client.sync_patience import PatientChannel

if TYPE_CHECKING:
    from grpc import Future

A = TypeVar("A")
R = TypeVar("R")

Send = Callable[[list[str]], "Future[A]"]


class Calls(ClientBase):
    """What the methods of the client are built on; a context manager that closes the connection."""

    def close(self) -> None:
        """Close the connection; what is under way is cancelled."""
        self._closed = True
        for one in self._channels:
            one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self) -> None:
        if self._multiplex:
            raise InvalidRequest(
                "multiplex is for AsyncClient: a Client's streams each have a thread of their own"
            )
        self._channels = self._open(grpc.insecure_channel, grpc.secure_channel)
        self._ways = [self._over(one) for one in self._channels]
        gates = [self._gates[one] for one in self.addresses * self._num_connections]
        patient: Iterator[Any] = map(PatientChannel, self._ways, gates)
        self._sequence_stubs = [SequenceServiceStub(one) for one in patient]

    def _channel(self) -> grpc.Channel:
        self._check_open()
        way: grpc.Channel = self._in_turn(self._ways)[self._current % len(self.addresses)]
        return way

    @property
    def _sequences(self) -> SequenceServiceStub:
        self._check_open()
        stubs: Sequence[SequenceServiceStub] = self._in_turn(self._sequence_stubs)
        return stubs[self._current % len(self.addresses)]

    @property
    def _models(self) -> ModelServiceStub:
        return ModelServiceStub(self._channel())

    @property
    def _stored(self) -> SessionServiceStub:
        return SessionServiceStub(self._channel())

    @property
    def _health(self) -> Any:
        return HealthStub(self._channel())

    def _only(self, read: Callable[[A], list[R]], send: "Send[A]", text: str) -> R:
        return complete(read(self._anywhere(send([text]), send, [text])), [text])[0]

    def _many(self, read: Callable[[A], list[R]], send: "Send[A]", texts: Iterable[str]) -> Iterator[R]:
        start = 0
        for batch, call in Pipeline(requests.each_checked(texts), send, self._batches()):
            try:
                answers = complete(read(self._patiently(call, send, batch)), batch)
            except ClientError as error:
                good = wrong_text(error) or 0
                if good:
                    yield from read(self._result(send(batch[:good])))
                raise counted_from(start, error) from error
            yield from answers
            start += len(batch)

    def _patiently(self, call: "Future[A]", send: "Send[A]", batch: list[str]) -> A:
        for _ in range(MAX_WAITS):
            try:
                return self._anywhere(call, send, batch)
            except Overloaded as error:
                time.sleep(wait_s(error))
                call = send(batch)
        return self._anywhere(call, send, batch)

    def _anywhere(self, call: "Future[A]", send: "Send[A]", batch: list[str]) -> A:
        for _ in self.addresses[1:]:
            try:
                return self._result(call)
            except Unavailable:
                self._turn_elsewhere()
                call = send(batch)
        return self._result(call)

    def _asked(self, ask: Callable[[], A]) -> A:
        for _ in self.addresses[1:]:
            try:
                with as_client_errors(self.address):
                    return ask()
            except Unavailable:
                self._turn_elsewhere()
        with as_client_errors(self.address):
            return ask()

    def _result(self, call: "Future[A]") -> A:
        with as_client_errors(self.address):
            return call.result()

    def _messages(self, call: Iterator[Message]) -> Iterator[Message]:
        with as_client_errors(self.address):
            yield from call
