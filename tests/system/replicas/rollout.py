"""Three replicas with the settings of `deploy/kubernetes`, and somebody who puts new ones in their place."""

import asyncio
import base64
import os
import random
import time
import tomllib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from service.client import Client
from tests.deploy.manifests import Manifests
from tests.system.replicas.processes import Redis, Replica, Running

PASSWORD = "of the test"
WITHDRAWN_S = 0.5
"""Between a replica's being no endpoint any more and its SIGTERM, as a preStop hook makes it, only shorter."""


class LockedRedis(Redis):
    """Asks for the password."""

    def command(self) -> Sequence[str]:
        return (*super().command(), "--requirepass", PASSWORD)


def write_settings(folder: Path) -> Path:
    """The settings file of the manifests, with secrets that lie where a test may write."""
    secrets = {"snapshot_keys_file": folder / "snapshot.keys", "password_file": folder / "password"}
    secrets["snapshot_keys_file"].write_text(f"test:{base64.b64encode(os.urandom(32)).decode()}\n")
    secrets["snapshot_keys_file"].chmod(0o440)
    secrets["password_file"].write_text(PASSWORD)
    text = Manifests.base().settings_text
    for piece in tomllib.loads(text).values():
        for name in piece.keys() & secrets.keys():
            text = text.replace(str(piece[name]), str(secrets.pop(name)))
    assert not secrets, f"{list(secrets)} are not in the manifests"
    file = folder / "settings.toml"
    file.write_text(text)
    return file


@dataclass
class Deployment:
    """Replicas that come and go. As a Kubernetes Service, it leads each new *connection* to one that is ready."""

    folder: Path
    models: Path
    arguments: tuple[str, ...]
    made: list[Replica] = field(default_factory=list)
    ready: list[Replica] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(0))

    def make(self) -> Replica:
        self.made.append(Replica(f"replica-{len(self.made)}", self.folder, self.models, *self.arguments))
        return self.made[-1]

    def endpoint(self) -> int:
        return self.chance.choice(self.ready).port


@asynccontextmanager
async def deployment(folder: Path, models: Path) -> AsyncIterator[Deployment]:
    redis = LockedRedis("redis", folder)
    settings = str(write_settings(folder))
    at = Deployment(folder, models, ("--config", settings, "--metrics-port", "0", "--store", redis.url))
    at.ready = [at.make() for _ in range(3)]
    everything: list[Running] = [redis, *at.ready]
    try:
        for one in everything:
            one.start()
        for one in everything:
            await asyncio.to_thread(one.wait)
        yield at
    finally:
        for one in [redis, *at.made]:
            one.kill()


@dataclass
class Rollout:
    """Replaces every replica once. `is_over` stays False until the last is in its place."""

    pause_s: float
    took_s: list[float] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    is_over: bool = False

    async def in_place(self, replicas: Sequence[Replica]) -> None:
        """SIGTERM, and when it has ended the new one under the same address: what Compose does."""
        for replica in replicas:
            await asyncio.sleep(self.pause_s)
            await self._end(replica)
            replica.start()
            await _answers(replica)
        await self._last()

    async def surging(self, at: Deployment) -> None:
        """A new one first; when it is ready an old one goes: what a Deployment with maxSurge 1 does."""
        for old in list(at.ready):
            new = at.make()
            new.start()
            await _answers(new)
            at.ready.append(new)
            await asyncio.sleep(self.pause_s)
            at.ready.remove(old)
            await asyncio.sleep(WITHDRAWN_S)
            await self._end(old)
        await self._last()

    async def _end(self, replica: Replica) -> None:
        began = time.monotonic()
        self.codes.append(await asyncio.to_thread(replica.end))
        self.took_s.append(time.monotonic() - began)

    async def _last(self) -> None:
        await asyncio.sleep(self.pause_s)
        self.is_over = True


async def _answers(replica: Replica) -> None:
    """Ready: it answers."""
    await asyncio.to_thread(replica.wait)
    await asyncio.to_thread(_models, replica)


def _models(replica: Replica) -> None:
    with Client(replica.address, timeout=60) as client:
        assert client.models()
