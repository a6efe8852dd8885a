"""Three replicas behind a proxy, and somebody who kills them."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bundles import write_classifier, write_translator
from tests.system.replicas.processes import Redis, Replica, Running
from tests.system.replicas.proxies import Nginx
from tests.system.replicas.relay import Relay
from tests.system.replicas.talkers import CLASSIFIER, TRANSLATOR, Talks


def write_models(models: Path) -> None:
    """A translator and a classifier that both read one way, from the real exporter."""
    one_way = {"hidden": 24, "bidirectional": False}
    write_translator(models, TRANSLATOR, encoder=one_way)
    write_classifier(models, CLASSIFIER, encoder=one_way, pooling="max")


@dataclass
class Site:
    """What stands between the clients and their sessions."""

    redis: Redis
    replicas: list[Replica]
    proxy: Nginx
    relay: Relay


@asynccontextmanager
async def site(folder: Path, models: Path) -> AsyncIterator[Site]:
    """Three replicas, as the proxy's configuration has it."""
    redis = Redis("redis", folder)
    store = ("--store", redis.url)
    replicas = [Replica(f"replica-{number}", folder, models, *store) for number in range(3)]
    proxy = Nginx(folder, replicas)
    everything: list[Running] = [redis, *replicas, proxy]
    try:
        for one in everything:
            one.start()
        for one in everything:
            await asyncio.to_thread(one.wait)
        async with Relay(proxy.port) as relay:
            yield Site(redis, replicas, proxy, relay)
    finally:
        for one in everything:
            one.kill()


@dataclass
class Kills:
    """Kills replicas one after the other, cuts connections in between, and restarts Redis once."""

    num_kills: int
    pause_s: float
    num_done: int = 0
    is_over: bool = False

    async def run(self, at: Site, chance: random.Random) -> None:
        for number in range(self.num_kills):
            replica = await _one_of_two(at.replicas, chance)
            replica.kill()
            self.num_done += 1
            await self._cut(at.relay, chance)
            if number == self.num_kills // 2:
                await _restart(at.redis)
            replica.start()
            await self._cut(at.relay, chance)
        for replica in at.replicas:
            await asyncio.to_thread(replica.wait)
        self.is_over = True

    async def _cut(self, relay: Relay, chance: random.Random) -> None:
        await asyncio.sleep(self.pause_s * chance.uniform(0.5, 1.0))
        relay.cut(chance)


async def _one_of_two(replicas: list[Replica], chance: random.Random) -> Replica:
    """A replica that listens, as soon as another does too."""
    while True:
        listening = [one for one in replicas if await asyncio.to_thread(one.listens)]
        if len(listening) > 1:
            return chance.choice(listening)
        await asyncio.sleep(0.1)


async def _restart(redis: Redis) -> None:
    redis.kill()
    await asyncio.sleep(0.5)
    redis.start()
    await asyncio.to_thread(redis.wait)


async def disturbed(at: Site, num_sessions: int, kills: Kills, pause_s: float, seed: int = 0) -> Talks:
    """Let sessions talk while replicas die, until the last has come back."""
    talks = Talks.of(num_sessions)
    async with asyncio.TaskGroup() as group:
        group.create_task(talks.run(at.relay.addresses, lambda _: not kills.is_over, pause_s=pause_s))
        group.create_task(kills.run(at, random.Random(seed)))
    return talks
