"""A replica is stopped in the middle of a session (SIGSTOP); another goes on with it; the first wakes and writes."""

import asyncio
import shutil
import signal
from pathlib import Path

import pytest

from service.client import AsyncClient, ClientError
from tests.conftest import Missing
from tests.system.replicas.chaos import write_models
from tests.system.replicas.processes import Redis, Replica
from tests.system.replicas.talkers import CLASSIFIER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


async def test_of_two_replicas_with_one_session_one_history_survives(
    tmp_path: Path, missing: Missing
) -> None:
    if shutil.which("redis-server") is None:
        missing("redis-server")
    write_models(tmp_path / "models")
    redis = Redis("redis", tmp_path)
    first, second = (
        Replica(name, tmp_path, tmp_path / "models", "--store", redis.url) for name in ("first", "second")
    )
    try:
        for one in (redis, first, second):
            one.start()
        for one in (redis, first, second):
            await asyncio.to_thread(one.wait)
        await _paused(first, second)
    finally:
        for one in (redis, first, second):
            one.signal(signal.SIGCONT)
            one.kill()


async def _paused(first: Replica, second: Replica) -> None:
    here = AsyncClient(first.address, timeout=60, patience=0.0)
    there = AsyncClient(second.address, timeout=60)
    async with here, there:
        session = await here.session(model=CLASSIFIER, durability="every step").__aenter__()
        said = [await session.feed("uno ")]
        first.signal(signal.SIGSTOP)
        late = asyncio.create_task(session.feed("dos "))  # reaches the first, which cannot answer
        await asyncio.sleep(0.5)
        async with there.resume(session.session_id) as taken:
            said.append(await taken.feed("tres "))
            first.signal(signal.SIGCONT)
            with pytest.raises(ClientError):
                await late
            said.append(await taken.feed("cuatro "))
        session.detach()
        async with there.session(model=CLASSIFIER) as alone:
            assert said == [await alone.feed(word) for word in ("uno ", "tres ", "cuatro ")]
