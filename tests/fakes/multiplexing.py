"""Fronts before servers that know nothing of multiplexing: they take many calls in one stream, and hand each on.

A process of its own (`python -m tests.fakes.multiplexing`), which reads an address a line and says where its front is.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from seqserve.v1.multiplex_pb2_grpc import add_MultiplexServiceServicer_to_server
from service.api import Calls
from service.api.handlers import Handlers
from service.api.multiplex import MultiplexServicer
from service.config import ServerSettings


class Onward(grpc.GenericRpcHandler):
    """Every method there may be, answered by the server behind."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def service(self, details: Any) -> Any:
        async def answer(requests: AsyncIterator[bytes], context: Any) -> None:
            call: Any = self._channel.stream_stream(details.method)(
                timeout=context.time_remaining(), metadata=context.invocation_metadata()
            )
            sending = asyncio.create_task(_sent(call, requests))
            try:
                async for message in call:
                    await context.write(message)
            except grpc.aio.AioRpcError as error:
                trailers = tuple(error.trailing_metadata() or ())
                await context.abort(error.code(), error.details() or "", trailers)
            finally:
                sending.cancel()
                call.cancel()

        return grpc.stream_stream_rpc_method_handler(answer, bytes, bytes)


async def _sent(call: Any, requests: AsyncIterator[bytes]) -> None:
    async for request in requests:
        await call.write(request)
    await call.done_writing()


async def new_front(behind: str) -> int:
    """Its port. It stands until the process ends."""
    server = grpc.aio.server()
    onward, handlers = Onward(grpc.aio.insecure_channel(behind)), Handlers([])
    handlers.add_generic_rpc_handlers([onward])
    add_MultiplexServiceServicer_to_server(MultiplexServicer(handlers, ServerSettings(), Calls()), server)
    server.add_generic_rpc_handlers([onward])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    STANDING.append(server)
    return port


STANDING: list[grpc.aio.Server] = []


async def main() -> None:
    while address := (await asyncio.to_thread(sys.stdin.readline)).strip():
        print(await new_front(address), flush=True)


@contextmanager
def fronts() -> Iterator[Callable[[str], str]]:
    """Gives what makes an address into that of a front before it."""
    command = [sys.executable, "-m", "tests.fakes.multiplexing"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        asks, answers = process.stdin, process.stdout

        def front(behind: str) -> str:
            print(behind, file=asks, flush=True)
            return f"127.0.0.1:{int(answers.readline())}"

        yield front
        asks.close()
        process.kill()


if __name__ == "__main__":
    asyncio.run(main())
