"""A TCP relay that cuts connections, as the networks between people and servers do."""

import asyncio
import random
from contextlib import suppress
from typing import Self


class Relay:
    """Passes bytes on to one address; an async context manager."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._writers: set[asyncio.StreamWriter] = set()
        self.num_cut = 0

    @property
    def address(self) -> str:
        port: int = self._server.sockets[0].getsockname()[1]
        return f"127.0.0.1:{port}"

    def cut(self, chance: random.Random) -> None:
        """Cut one connection, in the middle of whatever it carries."""
        if self._writers:
            chance.choice(sorted(self._writers, key=id)).transport.abort()
            self.num_cut += 1

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            ways = [asyncio.create_task(_pass(*way)) for way in ((reader, to_writer), (to_reader, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
        finally:
            self._writers.discard(writer)
            writer.transport.abort()
            to_writer.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
