"""Each proxy of `deploy/`, with its own configuration, before three real replicas that share a store."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.client import AsyncClient, AsyncSession, Client, ClientError, Output
from tests.conftest import Missing
from tests.system.replicas.chaos import write_models
from tests.system.replicas.processes import Replica
from tests.system.replicas.proxies import Envoy, Nginx, Proxy
from tests.system.replicas.talkers import CLASSIFIER, WORDS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MANY = 1100
"""More than the 128 and 1,024 streams that proxies let through by themselves."""

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    return folder


@dataclass
class Site:
    replicas: list[Replica]
    proxy: Proxy

    def client(self) -> AsyncClient:
        return AsyncClient(self.proxy.address, timeout=60, patience=60)

    def holder(self, session_id: str) -> Replica:
        """The replica on which a stream holds the session."""
        found = [one for one in self.replicas if one.listens() and _tier(one, session_id) == "active"]
        assert len(found) == 1, found
        return found[0]


def _tier(replica: Replica, session_id: str) -> str:
    with Client(replica.address) as client:
        return next(one.tier for one in client.sessions() if one.session_id == session_id)


@asynccontextmanager
async def running(kind: type[Proxy], folder: Path, models: Path) -> AsyncIterator[Site]:
    store = ("--store", f"sqlite:{folder / 'sessions.sqlite'}")
    replicas = [Replica(f"replica-{number}", folder, models, *store) for number in range(3)]
    proxy = kind(folder, replicas)
    site, everything = Site(replicas, proxy), [*replicas, proxy]
    try:
        for replica in replicas:
            replica.start()
        for replica in replicas:
            await asyncio.to_thread(replica.wait)
        proxy.start()
        await asyncio.to_thread(proxy.wait)
        await _reaches_all(site)
        yield site
    finally:
        for one in everything:
            one.signal(signal.SIGCONT)
            one.kill()


async def _reaches_all(site: Site) -> None:
    """Wait until every replica gets sessions: Envoy looks which are well, and moves sessions to one found so later."""
    reached, end = set[str](), time.monotonic() + PATIENCE_S
    async with site.client() as client:
        while len(reached) < len(site.replicas):
            assert time.monotonic() < end, f"only {sorted(reached)} are reached:\n{site.proxy.log()}"
            try:
                async with client.session(model=CLASSIFIER) as session:
                    reached.add((await asyncio.to_thread(site.holder, session.session_id)).name)
            except ClientError:
                await asyncio.sleep(0.25)


@pytest.fixture(params=[Nginx, Envoy])
async def site(
    request: pytest.FixtureRequest, tmp_path: Path, models: Path, missing: Missing
) -> AsyncIterator[Site]:
    if request.param.program() is None:
        missing(request.param.__name__)
    async with running(request.param, tmp_path, models) as at:
        yield at


async def test_all_clients_of_a_session_come_to_the_same_replica_and_go_on_when_it_is_killed(
    site: Site,
) -> None:
    alone = await _alone(site)
    used = []
    async with site.client() as here, site.client() as there:
        for number in range(12):
            async with here.session(model=CLASSIFIER, durability="every step") as session:
                said = [await session.feed(f"{word} ") for word in WORDS[:3]]
                at = await asyncio.to_thread(site.holder, session.session_id)
                session.detach()
                async with there.resume(session.session_id) as taken:
                    said += [await taken.feed(f"{word} ") for word in WORDS[3:6]]
                    assert await asyncio.to_thread(site.holder, session.session_id) is at
                    if number == 11:
                        at.kill()
                    said += [await taken.feed(f"{word} ") for word in WORDS[6:]]
                assert said == alone
            used.append(at.name)
    assert len(set(used)) > 1


async def test_a_client_holds_more_sessions_than_proxies_let_through_by_themselves(site: Site) -> None:
    async with site.client() as client:
        sessions = [client.session(model=CLASSIFIER, durability="none") for _ in range(MANY)]
        for begin in range(0, MANY, 50):
            await asyncio.gather(*(session.__aenter__() for session in sessions[begin : begin + 50]))
        said = await asyncio.gather(*(session.feed("uno ") for session in sessions[::100]))
        assert len(set(map(str, said))) == 1
        for session in sessions:
            session.detach()


async def test_whole_requests_are_answered_while_a_replica_is_away(site: Site) -> None:
    async with site.client() as client:
        before = await client.classify("el gato duerme")
        for replica in site.replicas[:2]:
            replica.kill()
            assert [await client.classify("el gato duerme") for _ in range(6)] == [before] * 6


async def test_envoy_sends_the_sessions_of_a_replica_that_has_stopped_elsewhere(
    tmp_path: Path, models: Path, missing: Missing
) -> None:
    """Nobody closes the connection of a machine that stops; Envoy asks, and ends it."""
    if Envoy.program() is None:
        missing("Envoy")
    async with running(Envoy, tmp_path, models) as at:
        alone = await _alone(at)
        async with (
            at.client() as client,
            client.session(model=CLASSIFIER, durability="every step") as session,
        ):
            said = [await session.feed(f"{word} ") for word in WORDS[:3]]
            stopped = await asyncio.to_thread(at.holder, session.session_id)
            stopped.signal(signal.SIGSTOP)
            said += [await session.feed(f"{word} ") for word in WORDS[3:]]
            assert said == alone


async def _alone(site: Site) -> list[Output]:
    """What a session says that nobody disturbs."""
    async with site.client() as client, client.session(model=CLASSIFIER) as session:
        return await _fed(session)


async def _fed(session: AsyncSession) -> list[Output]:
    return [await session.feed(f"{word} ") for word in WORDS]
