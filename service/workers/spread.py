"""Models that are loaded and unloaded: in the worker that was asked, and then in all others."""

import asyncio
from itertools import count

import structlog

from service.errors import ModelNotFound, NotPossible
from service.registry import Served
from service.sessions.changes import Changes
from service.workers.agreement import CHANGE, FOLLOWED, Agreed
from service.workers.line import Line, Message

log = structlog.get_logger("seqserve.workers")


class Spread:
    """A caller is answered when every worker has made the change; one that cannot is begun anew, without it."""

    def __init__(self, own: Changes, line: Line, default_unload_in_s: float) -> None:
        self._own = own
        self._line = line
        self._default_unload_in_s = default_unload_in_s
        self._ids = count()
        self._asked: dict[int, asyncio.Future[int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loaded = asyncio.Event()

    async def load(self, name: str, version: str) -> Served:
        served = await self._own.load(name, version)
        await self._by_all(served.manifest.name, served.manifest.version)
        return served

    async def unload(self, name: str, version: str, deadline_s: float | None = None) -> int:
        unload_in_s = self._default_unload_in_s if deadline_s is None else deadline_s
        num_sessions = await self._own.unload(name, version, unload_in_s)
        return num_sessions + await self._by_all(name, version, unload_in_s)

    async def agree(self, agreed: Agreed | None) -> None:
        """All that is agreed is loaded: retire what is retired, and follow from now on."""
        for label, left_s in agreed.retired.items() if agreed else ():
            name, _, version = label.rpartition("/")
            await self._made(name, version, left_s)
        self._loaded.set()

    def follow(self, message: Message) -> None:
        """Make a change that a sibling was asked for."""
        task = asyncio.create_task(self._followed(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def answered(self, message: Message) -> None:
        """All siblings have followed."""
        asked = self._asked.pop(message["id"], None)
        if asked is not None and not asked.done():
            asked.set_result(message["num_sessions"])

    async def _by_all(self, name: str, version: str, unload_in_s: float | None = None) -> int:
        """Sessions, of a version that is unloaded, in the other workers."""
        id, asked = next(self._ids), asyncio.get_running_loop().create_future()
        self._asked[id] = asked
        self._line.say(CHANGE, id=id, name=name, version=version, unload_in_s=unload_in_s)
        return await asyncio.shield(asked)

    async def _followed(self, message: Message) -> None:
        await self._loaded.wait()
        num_sessions, followed = 0, True
        try:
            num_sessions = await self._made(message["name"], message["version"], message["unload_in_s"])
        except Exception:
            log.exception("a change that another worker has made failed here")
            followed = False
        self._line.say(FOLLOWED, id=message["id"], num_sessions=num_sessions, followed=followed)

    async def _made(self, name: str, version: str, unload_in_s: float | None) -> int:
        """What is so already needs no change."""
        try:
            if unload_in_s is not None:
                return await self._own.unload(name, version, unload_in_s)
            await self._own.load(name, version)
        except (ModelNotFound, NotPossible) as error:
            log.info("nothing to change", model=f"{name}/{version}", why=str(error))
        return 0
