"""A common stream that a server with too much to do turns away, or ends without a reason, with all in it."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from seqserve.v1.sequence_pb2 import StreamTranslateRequest
from seqserve.v1.sequence_pb2_grpc import SequenceServiceStub
from service.client import HoldingBack, Overloaded, ServerFailed, Unavailable, gate, multiplex
from service.client.aio_patience import AsyncPatientChannel
from service.client.carried import status_error
from service.client.errors import NOT_WRITTEN, TURNED_AWAY
from service.client.gate import Gate
from service.client.multiplex import MultiplexedChannel


class Refusing:
    """Begins streams, each of which ends with this status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._status = code, details
        self.num_begun = 0

    def stream_stream(self, *_: object, **__: object) -> Any:
        return self.begin

    unary_unary = unary_stream = stream_stream

    def begin(self) -> "Refusing":
        self.num_begun += 1
        return self

    async def write(self, message: object) -> None:
        pass

    def cancel(self) -> None:
        pass

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        raise status_error(*self._status)


@pytest.mark.parametrize("attempts", [1, 3])
async def test_it_is_begun_once_for_each_attempt_of_what_it_carries(
    attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "FIRST_WAIT_S", 0.0)
    refusing = Refusing(grpc.StatusCode.CANCELLED, TURNED_AWAY)
    with pytest.raises(Overloaded, match="more calls waiting"):
        await translated(refusing, attempts)
    assert refusing.num_begun == attempts


@pytest.mark.parametrize("attempts", [1, 3])
async def test_what_it_carried_goes_by_another_when_grpc_does_not_say_why_it_ended(
    attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiplex, "FIRST_WAIT_S", 0.0)
    refusing = Refusing(grpc.StatusCode.INTERNAL, NOT_WRITTEN)
    with pytest.raises(Unavailable, match="ended the stream while something was being sent"):
        await translated(refusing, attempts)
    assert refusing.num_begun == attempts


async def test_a_fault_of_the_server_is_not_asked_for_again() -> None:
    refusing = Refusing(grpc.StatusCode.INTERNAL, "a fault")
    with pytest.raises(ServerFailed, match="a fault"):
        await translated(refusing, 3)
    assert refusing.num_begun == 1


async def translated(refusing: Refusing, attempts: int) -> list[Any]:
    line: Any = MultiplexedChannel(refusing, refusing, max_attempts=attempts)
    patient: Any = AsyncPatientChannel(line, Gate("here", HoldingBack(), attempts))
    stream: Any = SequenceServiceStub(patient).StreamTranslate(StreamTranslateRequest(), timeout=20)
    return [answer async for answer in stream]
