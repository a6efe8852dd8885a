"""A rolling update under load, with the settings of `deploy/kubernetes`: no session notices."""

import asyncio
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Missing
from tests.deploy.manifests import Manifests
from tests.system.replicas.chaos import write_models
from tests.system.replicas.proxies import Nginx
from tests.system.replicas.relay import Relay
from tests.system.replicas.rollout import Deployment, Rollout, deployment
from tests.system.replicas.talkers import Talks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NUM_SESSIONS = 50
PAUSE_S = 0.4


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    return folder


@pytest.fixture(autouse=True)
def _redis(missing: Missing) -> None:
    if shutil.which("redis-server") is None:
        missing("redis-server")


async def test_an_update_in_place_behind_nginx_loses_no_session(
    models: Path, tmp_path: Path, missing: Missing
) -> None:
    if Nginx.program() is None:
        missing("nginx")
    rollout = Rollout(pause_s=1.0)
    async with deployment(tmp_path, models) as at:
        proxy = Nginx(tmp_path, at.ready)
        proxy.start()
        try:
            await asyncio.to_thread(proxy.wait)
            async with Relay(proxy.port) as relay:
                talks = await _talking(relay, rollout, rollout.in_place(at.ready))
            await _nobody_noticed(talks, rollout, at)
        finally:
            proxy.kill()


async def test_an_update_of_a_deployment_behind_a_service_loses_no_session(
    models: Path, tmp_path: Path
) -> None:
    rollout = Rollout(pause_s=1.0)
    async with deployment(tmp_path, models) as at:
        async with Relay(at.endpoint) as service:
            talks = await _talking(service, rollout, rollout.surging(at))
        assert len(at.made) == 6
        await _nobody_noticed(talks, rollout, at)


async def _talking(relay: Relay, rollout: Rollout, update: Coroutine[Any, Any, None]) -> Talks:
    talks = Talks.of(NUM_SESSIONS)
    async with asyncio.TaskGroup() as group:
        group.create_task(talks.run(relay.addresses, lambda _: not rollout.is_over, pause_s=PAUSE_S))
        group.create_task(update)
    return talks


async def _nobody_noticed(talks: Talks, rollout: Rollout, at: Deployment) -> None:
    """An error that reached a talker would have been raised by now; what they were answered is compared."""
    assert rollout.codes == [0, 0, 0]
    assert max(rollout.took_s) < Manifests.base().seconds_after_sigterm
    assert talks.resumed
    assert all(talker.rounds for talker in talks.talkers)
    alone = await talks.undisturbed(at.ready[0].address)
    assert talks.differing(alone) == []
