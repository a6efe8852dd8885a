"""Models that come and go while the server runs; sessions stay with the version that they were opened on."""

import asyncio
import time
from pathlib import Path
from typing import Protocol

import structlog

from service.registry import Registry, Served
from service.sessions.sessions import Sessions

CHECK_EVERY_S = 0.25
"""How often it is looked whether the last session of an unloaded model has ended."""
LAST_REQUESTS_S = 30.0
"""How long requests that were begun with an unloaded model may take after its sessions have ended."""

log = structlog.get_logger("seqserve.models")


class Changing(Protocol):
    """Makes changes: here, or here and elsewhere."""

    async def load(self, name: str, version: str) -> Served:
        """Serve a version, the newest on disk where none is named."""

    async def unload(self, name: str, version: str, deadline_s: float | None = None) -> int:
        """Serve it to nobody but its sessions, whose number is returned, and after the deadline not to them."""


class Changes:
    """Loads beside what is served; unloads when the sessions of a version have ended, or its deadline has passed."""

    def __init__(
        self,
        registry: Registry,
        sessions: Sessions,
        repository: Path,
        default_deadline_s: float,
        *,
        until_deadline: bool = False,
    ) -> None:
        """`until_deadline`: the last session here is not the last: more may come, from processes beside this one."""
        self._registry = registry
        self._sessions = sessions
        self._repository = repository
        self._default_deadline_s = default_deadline_s
        self._until_deadline = until_deadline
        self._loading = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()

    async def load(self, name: str, version: str) -> Served:
        async with self._loading:
            served = await asyncio.to_thread(self._registry.load, self._repository, name, version)
        log.info("loaded", model=f"{name}/{served.manifest.version}")
        return served

    async def unload(self, name: str, version: str, deadline_s: float | None = None) -> int:
        served = self._registry.retire(name, version)
        deadline_s = self._default_deadline_s if deadline_s is None else deadline_s
        task = asyncio.create_task(self._retired(served, time.monotonic() + deadline_s))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        return self._sessions.count(served)

    async def _retired(self, served: Served, until: float) -> None:
        while self._are_expected(served) and time.monotonic() < until:  # noqa: ASYNC110 - ends in many ways
            await asyncio.sleep(CHECK_EVERY_S)
        self._registry.forget(served)
        await self._sessions.evict(served)
        await asyncio.to_thread(served.scheduler.drain, LAST_REQUESTS_S)
        await asyncio.to_thread(served.close)
        log.info("unloaded", model=f"{served.manifest.name}/{served.manifest.version}")

    def _are_expected(self, served: Served) -> bool:
        return self._until_deadline or self._sessions.count(served) > 0
