"""A server of toys on a thread of its own, for clients that block."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fakes.toy_server import Toys, serve_toys


@contextmanager
def toys_on_a_thread(models: Path, **pieces: Any) -> Iterator[Toys]:
    """Settings as `serve_toys` takes them."""
    ready: list[Toys] = []
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with serve_toys(models, **pieces) as toys:
            ready.append(toys)
            started.set()
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            started.set()
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
