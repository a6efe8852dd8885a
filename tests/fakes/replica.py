"""A server's sessions without a server: replicas of one store, that crash when they are told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from service.config import LimitSettings, SessionSettings
from service.metrics import Metrics
from service.registry import Served
from service.sessions import Durability, Holding, Mode, Session, Sessions, SessionTable
from service.sessions.keeper import Keeper
from service.sessions.seal import Keyring
from service.sessions.stores import Store
from service.sessions.tickets import Tickets
from service.tasks.conversation import Conversation
from service.tasks.decoding import DecodingOptions

EVERY_STEP = Durability(Mode.EVERY_STEP)
LIMITS = LimitSettings()


@dataclass
class Talker:
    """Who holds a session, in few words."""

    sessions: Sessions
    holding: Holding

    @property
    def session(self) -> Session:
        return self.holding.session

    async def feed(self, text: str, turn: int | None = None) -> int:
        answer = await Conversation(self.session, LIMITS).feed(text, turn=turn)
        await self.sessions.moved_on(self.session)
        return answer.input_position

    async def generate(self, turn: int | None = None, **options: Any) -> str:
        text = ""
        async for answer in Conversation(self.session, LIMITS).generate(
            DecodingOptions(**options), turn=turn
        ):
            await self.sessions.moved_on(self.session)
            text += "".join(token.piece for token in answer.tokens)
        return text

    async def rewind(self, after_turn: int) -> None:
        await Conversation(self.session, LIMITS).rewind(after_turn)
        await self.sessions.moved_on(self.session)


class Replica:
    """One of several servers on a store; its memory is lost when it is thrown away."""

    def __init__(
        self,
        store: Store,
        *served: Served,
        ring: Keyring | None = None,
        serves_on: bool = True,
        **settings: int,
    ) -> None:
        self.settings = SessionSettings(**settings)
        self.table = SessionTable(self.settings)
        self.metrics = Metrics()
        self.keeper = Keeper(store, ring, self.settings, self.metrics)
        self._served = {(each.manifest.name, each.manifest.version): each for each in served}
        find = lambda name, version: self._served[name, version]  # noqa: E731
        tickets = Tickets(ring, self.settings)
        self.sessions = Sessions(
            self.table, self.keeper, find, tickets, serves_on=serves_on, metrics=self.metrics
        )

    async def open(self, served: Served, durability: Durability = EVERY_STEP, owner: str = "") -> str:
        return (await self.sessions.open(owner, served, None, durability)).id

    @asynccontextmanager
    async def talk(self, session_id: str, owner: str = "") -> AsyncIterator[Talker]:
        async with self.sessions.hold(owner, session_id) as holding:
            yield Talker(self.sessions, holding)

    async def settled(self) -> None:
        """Return when nothing is being written; what ends may begin another."""
        tasks = self.keeper._writing
        while tasks:
            await asyncio.wait(list(tasks.values()))
            await asyncio.sleep(0)
