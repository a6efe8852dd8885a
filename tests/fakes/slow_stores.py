"""Stores that are slow, away, or not heard."""

import asyncio
from typing import Any

from service.errors import Fenced, StoreAway
from service.sessions.stores import Health
from service.sessions.stores.memory import MemoryStore


class SlowStore(MemoryStore):
    """A store that waits until it may go on, or is away."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.is_away = False
        self.num_saves = 0

    async def save(self, *args: Any, **kwargs: Any) -> int:
        await self._wait()
        self.num_saves += 1
        return await super().save(*args, **kwargs)

    async def create(self, *args: Any, **kwargs: Any) -> int:
        await self._wait()
        return await super().create(*args, **kwargs)

    async def claim(self, *args: Any, **kwargs: Any) -> Any:
        await self._wait()
        return await super().claim(*args, **kwargs)

    async def touch(self, *args: Any, **kwargs: Any) -> None:
        await self._wait()
        await super().touch(*args, **kwargs)

    async def health(self) -> Any:
        return Health(not self.is_away)

    async def _wait(self) -> None:
        await self.may_go.wait()
        if self.is_away:
            raise StoreAway("away")


class LateStore(MemoryStore):
    """A store that does at once what it is asked, and tells later that a claim was done, or a save fenced."""

    def __init__(self) -> None:
        super().__init__()
        self.claims_late, self.fences_late = False, False
        self.has_claimed, self.may_tell_claims = asyncio.Event(), asyncio.Event()
        self.has_fenced, self.may_tell_fences = asyncio.Event(), asyncio.Event()

    async def claim(self, *args: Any) -> Any:
        claimed = await super().claim(*args)
        if self.claims_late:
            self.has_claimed.set()
            await self.may_tell_claims.wait()
        return claimed

    async def save(self, *args: Any, **kwargs: Any) -> int:
        try:
            return await super().save(*args, **kwargs)
        except Fenced:
            if self.fences_late:
                self.has_fenced.set()
                await self.may_tell_fences.wait()
            raise


class Unanswering(MemoryStore):
    """A store that does what it is asked, and whose answers to claims are lost; or that does it when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.answers, self.takes_place = True, True
        self.later: list[tuple[Any, ...]] = []

    async def claim(self, *args: Any) -> Any:
        if not self.takes_place:
            self.later.append(args)
            raise StoreAway("no answer")
        claimed = await super().claim(*args)
        if not self.answers:
            raise StoreAway("no answer")
        return claimed

    async def take_place(self) -> None:
        for args in self.later:
            await super().claim(*args)
