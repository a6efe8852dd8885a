"""A common stream that a server with too much to do turns away, with all that it carries."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from seqserve.v1.sequence_pb2 import StreamTranslateRequest
from seqserve.v1.sequence_pb2_grpc import SequenceServiceStub
from service.client import HoldingBack, Overloaded, gate
from service.client.aio_patience import AsyncPatientChannel
from service.client.carried import status_error
from service.client.errors import TURNED_AWAY
from service.client.gate import Gate
from service.client.multiplex import MultiplexedChannel


class Refusing:
    """Begins streams, each of which is turned away."""

    def __init__(self) -> None:
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
        raise status_error(grpc.StatusCode.CANCELLED, TURNED_AWAY)


@pytest.mark.parametrize("attempts", [1, 3])
async def test_it_is_begun_once_for_each_attempt_of_what_it_carries(
    attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "FIRST_WAIT_S", 0.0)
    refusing = Refusing()
    line: Any = MultiplexedChannel(refusing, refusing, max_attempts=attempts)
    patient: Any = AsyncPatientChannel(line, Gate("here", HoldingBack(), attempts))
    stream: Any = SequenceServiceStub(patient).StreamTranslate(StreamTranslateRequest(), timeout=20)
    with pytest.raises(Overloaded, match="more calls waiting"):
        [answer async for answer in stream]
    assert refusing.num_begun == attempts
