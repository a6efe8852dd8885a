"""Where those who want the same session wait for each other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Turnstile:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    num_there: int = 0
    """Within and waiting."""


class Turnstiles:
    """Let one through at a time for each session of an owner; who has got hold of another's id keeps nobody waiting."""

    def __init__(self) -> None:
        self._by_session: dict[tuple[str, str], _Turnstile] = {}

    def __len__(self) -> int:
        """Sessions that somebody wants now."""
        return len(self._by_session)

    @asynccontextmanager
    async def through(self, owner: str, session_id: str) -> AsyncIterator[None]:
        """Alone with the session inside."""
        turnstile = self._by_session.setdefault((owner, session_id), _Turnstile())
        turnstile.num_there += 1
        try:
            async with turnstile.lock:
                yield
        finally:
            turnstile.num_there -= 1
            if not turnstile.num_there:
                del self._by_session[owner, session_id]
