"""A TCP relay that cuts connections, as the networks between people and servers do."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Self


class Relay:
    """Passes bytes on to one address; an async context manager.

    It listens on several ports: gRPC has one connection for all channels of a process with the same address.
    """

    def __init__(self, to_port: int | Callable[[], int], num_ports: int = 8) -> None:
        """`to_port` may choose one anew for each connection."""
        self._to_port = to_port if callable(to_port) else lambda: to_port
        self._num_ports = num_ports
        self._servers: list[asyncio.Server] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.num_cut = 0

    @property
    def addresses(self) -> list[str]:
        return [f"127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in self._servers]

    def cut(self, chance: random.Random) -> None:
        """Cut one connection, in the middle of whatever it carries."""
        if self._writers:
            chance.choice(sorted(self._writers, key=id)).transport.abort()
            self.num_cut += 1

    async def __aenter__(self) -> Self:
        for _ in range(self._num_ports):
            self._servers.append(await asyncio.start_server(self._accept, "127.0.0.1", 0))
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._relay(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._to_port())
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(writer)
        ways = [asyncio.create_task(_pass(*way)) for way in ((reader, to_writer), (to_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._writers.discard(writer)
            writer.transport.abort()
            to_writer.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
