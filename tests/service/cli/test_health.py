"""`seqserve health`, as a container's health check runs it."""

import asyncio
import re
from pathlib import Path

from tests.fakes.toy_server import Toys, serve_toys, write_toys
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


async def test_all_parts_are_told_and_one_that_fails_is_named(tmp_path: Path) -> None:
    def write(models: Path) -> None:
        write_toys(models)
        (models / "two-way" / "1" / "manifest.json").write_text("{}")

    async with serve_toys(tmp_path, write) as toys:
        ran = await asked(toys, "--parts")
        assert ran.code == 1
        assert {"server\tserving", "toy-es-en/1\tserving", "log\tserving"} <= set(ran.lines)
        assert "two-way/1\tnot serving" in ran.lines
        assert ran.err == "seqserve: two-way/1 does not serve; the server's log says why\n"
    async with serve_toys(tmp_path / "well") as toys:
        assert (await asked(toys, "--parts")).code == 0
