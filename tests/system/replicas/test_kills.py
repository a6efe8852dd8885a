"""Three replicas, Redis, a proxy: replicas are killed, Redis is restarted, connections are cut; nobody notices."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import Missing
from tests.system.replicas.chaos import Kills, disturbed, site, write_models
from tests.system.replicas.proxies import Nginx

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    return folder


async def test_every_session_says_what_it_says_undisturbed(
    models: Path, tmp_path: Path, missing: Missing
) -> None:
    if shutil.which("redis-server") is None:
        missing("redis-server")
    if Nginx.program() is None:
        missing("nginx")
    kills = Kills(num_kills=6, pause_s=1.0)
    async with site(tmp_path, models) as at:
        talks = await disturbed(at, 40, kills, pause_s=0.4)
        assert talks.differing(await talks.undisturbed(at.proxy.address)) == []
    assert kills.num_done == 6
    assert talks.resumed
    assert all(talker.rounds for talker in talks.talkers)
