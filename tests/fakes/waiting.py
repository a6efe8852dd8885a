"""Waiting for what nothing tells of: a server is watched from outside."""

import asyncio
import time
from collections.abc import Callable


async def until(is_so: Callable[[], bool], seconds: float = 30) -> None:
    """Until it is so; TimeoutError if it does not become so."""
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    """Until it is so, where there is no event loop."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.005)
