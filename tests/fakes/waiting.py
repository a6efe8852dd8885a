"""Waiting for what nothing tells of: a server is watched from outside."""

import asyncio
from collections.abc import Callable


async def until(is_so: Callable[[], bool], seconds: float = 30) -> None:
    """Until it is so; TimeoutError if it does not become so."""
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
