"""The site of deploy/compose.yaml, with real containers: kills, a rolling update, and who may do what in it."""

import asyncio
import json
import random
import time
import urllib.request
from typing import Any

import pytest

from service.client import Client
from tests.docker.engine import docker, kill, look
from tests.docker.site import REPLICAS, Site, site
from tests.system.replicas.talkers import Talks

pytestmark = pytest.mark.timeout(900)

NUM_SESSIONS = 24
NUM_KILLS = 5
PAUSE_S = 0.3


class Disturbance:
    """Something that goes on while sessions talk."""

    is_over = False


async def talked(at: Site, disturbance: Disturbance, work: Any) -> Talks:
    talks = Talks.of(NUM_SESSIONS)
    async with asyncio.TaskGroup() as group:
        group.create_task(talks.run([at.address], lambda _: not disturbance.is_over, pause_s=PAUSE_S))
        group.create_task(work)
    return talks


async def check_nobody_noticed(talks: Talks, at: Site) -> None:
    assert talks.resumed
    assert all(talker.rounds for talker in talks.talkers)
    assert talks.differing(await talks.undisturbed(at.address)) == []


async def test_sessions_go_on_bit_for_bit_while_containers_are_killed(at: Site) -> None:
    disturbance, chance = Disturbance(), random.Random(0)

    async def kills() -> None:
        for _ in range(NUM_KILLS):
            await asyncio.sleep(2.0)
            name = chance.choice(REPLICAS)
            container = await asyncio.to_thread(at.container, name)
            started = look(container)["State"]["StartedAt"]
            kill(container)
            while look(container)["State"]["StartedAt"] == started:  # Docker starts it again  # noqa: ASYNC110
                await asyncio.sleep(0.2)
            await asyncio.to_thread(at.wait_healthy, [name])
        disturbance.is_over = True

    talks = await talked(at, disturbance, kills())
    await check_nobody_noticed(talks, at)
    print(f"{NUM_KILLS} kills, {len(talks.resumed)} sessions resumed, {_rounds(talks)} rounds, none differs")


async def test_no_session_notices_a_rolling_update(at: Site) -> None:
    disturbance = Disturbance()
    took: list[float] = []

    async def update() -> None:
        for name in REPLICAS:
            await asyncio.sleep(2.0)
            before = await asyncio.to_thread(at.container, name)
            took.append(await asyncio.to_thread(at.replace, name))
            assert await asyncio.to_thread(at.container, name) != before
        await asyncio.sleep(2.0)
        disturbance.is_over = True

    talks = await talked(at, disturbance, update())
    await check_nobody_noticed(talks, at)
    seconds = ", ".join(f"{each:.1f}" for each in took)
    print(f"replaced in {seconds} s, {len(talks.resumed)} resumed, {_rounds(talks)} rounds, none differs")


def test_replicas_run_as_nobody_and_have_written_nothing(at: Site) -> None:
    for name in REPLICAS:
        container = at.container(name)
        assert docker("exec", container, "id", "-u") == "10001"
        assert look(container)["HostConfig"]["ReadonlyRootfs"]
        assert docker("diff", container) == ""
        assert [mount["Destination"] for mount in look(container)["Mounts"]] == ["/srv/seqserve/models"]


def test_prometheus_sees_all_replicas_and_knows_the_alerts(at: Site) -> None:
    end = time.monotonic() + 60
    while len(up := _asked(at, "query?query=up==1")["result"]) < len(REPLICAS):
        assert time.monotonic() < end, up
        time.sleep(1)
    [group] = _asked(at, "rules")["groups"]
    assert all(rule["health"] in ("ok", "unknown") for rule in group["rules"])


def test_nothing_is_reachable_from_outside_this_machine(at: Site) -> None:
    for container in at.compose("ps", "--quiet").split():
        for bindings in look(container)["NetworkSettings"]["Ports"].values():
            assert all(binding["HostIp"] == "127.0.0.1" for binding in bindings or ())


def test_a_clean_start_serves_the_shipped_models(services: list[str], tmp_path: Any) -> None:
    with site(tmp_path, services) as at, Client(at.address) as client:
        assert "library" in client.translate("¿Dónde está la biblioteca?", source="es", target="en").text


def _asked(at: Site, what: str) -> Any:
    where = f"http://127.0.0.1:{at.prometheus_port}/api/v1/{what}"
    with urllib.request.urlopen(where.replace("==", "%3D%3D"), timeout=10) as answer:
        return json.load(answer)["data"]


def _rounds(talks: Talks) -> int:
    return sum(len(talker.rounds) for talker in talks.talkers)
