"""A stream that its server ends while the client is writing to it: grpc.aio tells nothing of why (grpc/grpc#36066)."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import grpc.aio
import pytest

from seqserve.v1.sequence_pb2_grpc import SequenceServiceServicer, SequenceServiceStub
from seqserve.v1.sequence_pb2_grpc import add_SequenceServiceServicer_to_server as add_to_server
from seqserve.v1.session_pb2 import Feed, SessionRequest, SessionResponse
from service.client import Unavailable
from service.client.errors import NOT_WRITTEN, is_break
from service.client.exchange import AsyncExchange


class Ending(SequenceServiceServicer):
    """Ends every session when it is told to, with words that should not be lost."""

    def __init__(self) -> None:
        self.read, self.end = threading.Event(), threading.Event()

    def Session(
        self, requests: Iterator[SessionRequest], context: grpc.ServicerContext
    ) -> Iterator[SessionResponse]:
        next(requests)
        self.read.set()
        self.end.wait(20)
        context.abort(grpc.StatusCode.NOT_FOUND, "there is no such session")


@pytest.fixture
async def ending() -> AsyncIterator[tuple[Ending, str]]:
    servicer, server = Ending(), grpc.server(ThreadPoolExecutor(2))
    add_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    server.stop(0).wait()


async def test_it_is_a_break_and_no_fault_of_the_server(ending: tuple[Ending, str]) -> None:
    servicer, address = ending
    async with grpc.aio.insecure_channel(address) as channel:
        exchange = AsyncExchange(SequenceServiceStub(channel), address)
        await exchange.send(SessionRequest(feed=Feed()))
        await asyncio.to_thread(servicer.read.wait, 20)
        servicer.end.set()
        _stand_still(0.5)  # the end is here before the loop can hear of it
        await exchange.send(SessionRequest(feed=Feed()))
        with pytest.raises(Unavailable, match="ended the stream while something was being sent") as caught:
            await exchange.receive(20)
    assert is_break(caught.value)
    assert isinstance(caught.value.__cause__, grpc.aio.AioRpcError)
    assert caught.value.__cause__.details() == NOT_WRITTEN, "grpc.aio tells more now: pass it on"


def _stand_still(seconds: float) -> None:
    """The loop, too."""
    time.sleep(seconds)
