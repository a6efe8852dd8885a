"""A server of real bundles on a thread of its own, for clients that block."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.config import EngineSettings, Settings
from service.engine.onnx import OnnxEngine
from service.server import Server


@contextmanager
def real_on_a_thread(models: Path, **pieces: dict[str, Any]) -> Iterator[str]:
    """Its address; `pieces` are settings, such as `limits={"max_texts": 2}`."""
    flags = {"server": {"port": 0}, "models": {"repository": str(models)}} | pieces
    settings = Settings.load(flags=flags, environment={})
    addresses: list[str] = []
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        server = Server(settings, lambda bundle: OnnxEngine(bundle, EngineSettings()))
        await server.start()
        addresses.append(server.address)
        started.set()
        await stop.wait()
        await server.drain()

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
        yield addresses[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
