"""Sessions that talk for as long as they are let, and say everything that they were answered."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.client import AsyncClient, AsyncSession, Reconnecting, Resumed

WORDS = (
    "el",
    "gato",
    "duerme",
    "en",
    "la",
    "casa",
    "¿dónde",
    "está",
    "biblioteca?",
    "música,",
    "10",
    "the",
    "dog",
)
TRANSLATOR, CLASSIFIER = "one-way", "intents"
MAX_LENGTH = 12

Said = list[Any]
"""The answers of one round."""


@dataclass
class Talker:
    """One session: every second talker translates, the others classify. All that it says follows from its number."""

    number: int
    durability: str
    rounds: list[Said] = field(default_factory=list)

    async def talk(self, client: AsyncClient, goes_on: Callable[[int], bool], pause_s: float) -> None:
        chance = random.Random(self.number)
        model = TRANSLATOR if self.number % 2 else CLASSIFIER
        async with client.session(model=model, durability=self.durability) as session:
            while goes_on(len(self.rounds)):
                self.rounds.append(await self._round(session, chance, pause_s))

    async def _round(self, session: AsyncSession, chance: random.Random, pause_s: float) -> Said:
        said: Said = []
        pieces = [" ".join(chance.choices(WORDS, k=chance.randint(1, 3))) + " " for _ in range(3)]
        for index, piece in enumerate(pieces):
            ends = self.number % 2 == 0 and index == 2
            said.append(await session.feed(piece, end_of_input=ends))
            await asyncio.sleep(pause_s)
        if self.number % 2:
            stream = session.generate(max_length=MAX_LENGTH)
            async for token in stream:
                said.append(token)
                await asyncio.sleep(pause_s / 10)
            said.append(stream.result)
        return said


@dataclass
class Talks:
    """Several talkers over several connections."""

    talkers: list[Talker]
    events: list[Reconnecting | Resumed] = field(default_factory=list)

    @classmethod
    def of(cls, num: int) -> "Talks":
        durabilities = ("every step", "every 4 steps", "every 16 steps")
        return cls([Talker(number, durabilities[number % 3]) for number in range(num)])

    @property
    def resumed(self) -> list[Resumed]:
        return [event for event in self.events if isinstance(event, Resumed)]

    async def run(
        self,
        addresses: Sequence[str],
        goes_on: Callable[[int], bool],
        *,
        pause_s: float,
        connections: int = 1,
    ) -> None:
        """A client for each address; the sessions are spread over them."""
        clients = [
            AsyncClient(
                address, timeout=120, patience=120.0, watch=self.events.append, connections=connections
            )
            for address in addresses
        ]
        try:
            async with asyncio.TaskGroup() as group:
                for talker in self.talkers:
                    group.create_task(talker.talk(clients[talker.number % len(clients)], goes_on, pause_s))
        finally:
            for client in clients:
                await client.close()

    async def undisturbed(self, address: str) -> "Talks":
        """The same sessions once more, each for as many rounds, with nobody in their way."""
        again = Talks([Talker(one.number, one.durability) for one in self.talkers])
        num_rounds = {one.number: len(one.rounds) for one in self.talkers}
        clients = AsyncClient(address, timeout=120)
        async with clients as client, asyncio.TaskGroup() as group:
            for one in again.talkers:
                limit = num_rounds[one.number]
                group.create_task(one.talk(client, limit.__gt__, 0.0))
        return again

    def differing(self, other: "Talks") -> list[int]:
        """The numbers of the sessions whose whole output is not the same, bit for bit."""
        pairs = zip(self.talkers, other.talkers, strict=True)
        return [mine.number for mine, its in pairs if mine.rounds != its.rounds]
