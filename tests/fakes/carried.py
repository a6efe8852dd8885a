"""A channel all of whose calls share one stream, those with a single answer too; and servers that are asked by it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc

from seqserve.v1 import model_pb2_grpc, sequence_pb2_grpc
from seqserve.v1.multiplex_pb2 import Frame
from service.client.carried import Carried, CarriedCall
from service.client.multiplex import MultiplexedChannel, _beginning
from tests.fakes.toy_server import Toys


class WholeCall(CarriedCall):
    """With what tests ask of a call beside."""

    async def done_writing(self) -> None:
        self._carried._outbox.lay(Frame(call=self._carried._number, half_close=True))

    async def code(self) -> grpc.StatusCode:
        """Known once it has been read to its end; any other status was raised then."""
        return grpc.StatusCode.OK


class CarriedChannel(MultiplexedChannel):
    """Its calls, of whatever kind, go in one stream."""

    def unary_unary(self, method: str, request_serializer: Any, response_deserializer: Any, **_: Any) -> Any:
        async def call(request: Any, *, timeout: float | None = None, metadata: Any = ()) -> Any:
            begin = _beginning(method, timeout, metadata)
            carried = Carried(begin, request, request_serializer, response_deserializer)
            self._send(carried)
            return await WholeCall(carried).read()

        return call

    def _gone(self, carried: Carried) -> CarriedCall:
        self._send(carried)
        return WholeCall(carried)


@asynccontextmanager
async def carried(toys: Toys) -> AsyncIterator[Toys]:
    """The same server, asked by another connection, in one stream."""
    async with grpc.aio.insecure_channel(toys.server.address) as plain:
        channel: Any = CarriedChannel(plain, plain, max_attempts=1)
        sequence = sequence_pb2_grpc.SequenceServiceStub(channel)
        models = model_pb2_grpc.ModelServiceStub(channel)
        yield replace(toys, channel=channel, sequence=sequence, models=models)
