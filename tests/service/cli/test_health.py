"""`seqserve health`, as a container's health check runs it."""

import asyncio
import re
from pathlib import Path

from tests.fakes.toy_server import Toys, serve_toys
from tests.service.cli.process import Process, Ran


async def asked(toys: Toys, *arguments: str) -> Ran:
    return await asyncio.to_thread(Process(toys.server.address), "health", *arguments)


async def test_a_server_that_serves_is_healthy(tmp_path: Path) -> None:
    async with serve_toys(tmp_path) as toys:
        ran = await asked(toys)
        assert (ran.code, ran.out) == (0, "serving\n")


async def test_the_store_is_asked_for_by_name(tmp_path: Path) -> None:
    store = {"kind": "sqlite", "path": str(tmp_path / "sessions.sqlite")}
    async with serve_toys(tmp_path, store=store) as toys:
        ran = await asked(toys, "store")
        while ran.code:  # health tells of the store from its first upkeep on
            ran = await asked(toys, "store")
        assert ran.out == "serving\n"


async def test_what_is_not_there_is_not_healthy(tmp_path: Path) -> None:
    async with serve_toys(tmp_path) as toys:
        ran = await asked(toys, "store")
        assert ran.code == 1
        address = toys.server.address
    ran = await asyncio.to_thread(Process(address), "health")
    assert ran.code == 1
    assert re.match("seqserve: ", ran.err)
