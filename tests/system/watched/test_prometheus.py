"""The dashboard and the alerts of `deploy/`, before a real Prometheus that scrapes real servers."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bundles import write_classifier, write_translator
from tests.conftest import Missing
from tests.fakes.ports import free_port
from tests.system.replicas.processes import ROOT, Redis, Replica, Running
from tests.system.watched.load import CLASSIFIER, TRANSLATOR, crowd, is_finite, some_of_everything
from tests.system.watched.prometheus import DEPLOY, RULES, Prometheus, measured, panel_queries, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MAX_QUEUE, MAX_SESSIONS = 8, 100
OF_SPEED = {"SeqserveSlowFirstToken", "SeqserveSlowTokens", "SeqserveLoopBusy"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    one_way = {"hidden": 24, "bidirectional": False}
    write_translator(folder, TRANSLATOR, encoder=one_way, export={"max_length": 5000})
    write_classifier(folder, CLASSIFIER, encoder=one_way, pooling="max")
    return folder


class Site:
    """A server with little room, its Redis, and a Prometheus that watches it."""

    def __init__(self, folder: Path, models: Path) -> None:
        settings, self.keys = folder / "settings.toml", folder / "keys.toml"
        self.keys.touch(mode=0o600)
        settings.write_text(
            f"[scheduler]\nmax_queue = {MAX_QUEUE}\n[sessions]\nmax_sessions = {MAX_SESSIONS}\n"
            f"[auth]\naccess_keys_file = '{self.keys}'\n[server]\nallow_anonymous = true\n"
        )
        metrics_port = free_port()
        self.redis = Redis("redis", folder)
        arguments = (
            "--store",
            self.redis.url,
            "--metrics-port",
            str(metrics_port),
            "--config",
            str(settings),
        )
        self.server = Replica("server", folder, models, *arguments)
        self.prometheus = Prometheus(folder, [metrics_port])

    @property
    def all(self) -> list[Running]:
        return [self.redis, self.server, self.prometheus]


@pytest.fixture(scope="module")
def at(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"), models)
    if Prometheus.program() is None or shutil.which("redis-server") is None:
        yield made
        return
    try:
        for one in made.all:
            one.start()
        for one in made.all:
            one.wait()
        yield made
    finally:
        for one in made.all:
            one.kill()


@pytest.fixture(autouse=True)
def _programs(missing: Missing) -> None:
    for program in ("prometheus", "redis-server"):
        if shutil.which(program) is None:
            missing(program)


async def test_every_panel_and_every_alert_has_something_to_say_of_a_loaded_server(at: Site) -> None:
    queries = [*panel_queries(), *((rule["alert"], measured(rule)) for rule in RULES)]
    silent, end = queries, time.monotonic() + 120
    while time.monotonic() < end:
        await some_of_everything(at.server.address)
        silent = [query for query in silent if not is_finite(at.prometheus.values(query[1]))]
        if not silent:
            return
        await asyncio.sleep(0.5)
    pytest.fail("no answer to " + "\n".join(f"{title}: {query}" for title, query in silent))


def test_every_alert_is_evaluated_and_none_of_a_part_fires_while_all_is_well(at: Site) -> None:
    """How slow a server is, is this machine's affair as well: `test_alerts` tells those alerts what it wants."""
    until(lambda: at.prometheus.values("up == 1"), "the server is not scraped")
    until(
        lambda: at.prometheus.values("sum(seqserve_jobs_active)") == [0.0], "the load before it does not end"
    )
    at.prometheus.evaluate_again()
    assert at.prometheus.firing() - OF_SPEED == set()
    [group] = at.prometheus.ask("rules")["groups"]
    assert {rule["name"]: rule["health"] for rule in group["rules"]} == {
        rule["alert"]: "ok" for rule in RULES
    }


async def test_a_full_queue_fires_an_alert_and_so_do_refused_requests(at: Site) -> None:
    wanted, is_over = {"SeqserveQueueFull", "SeqserveRefusing"}, asyncio.Event()

    def fire() -> bool:
        return wanted <= at.prometheus.firing()

    async with asyncio.TaskGroup() as group:
        group.create_task(crowd(at.server.address, 2 * MAX_QUEUE, is_over))
        try:
            await asyncio.to_thread(until, fire, "the alerts do not fire")
        finally:
            is_over.set()


def test_a_store_that_is_away_fires_an_alert_until_it_is_back(at: Site) -> None:
    at.redis.kill()
    until(lambda: "SeqserveStoreAway" in at.prometheus.firing(), "the alert does not fire")
    at.redis.start()
    until(lambda: "SeqserveStoreAway" not in at.prometheus.firing(), "the alert does not end")


def test_a_part_that_does_not_work_fires_an_alert_until_it_does(at: Site) -> None:
    good = at.keys.read_bytes()
    at.keys.write_bytes(b"damaged")
    until(lambda: "SeqservePartDown" in at.prometheus.firing(), "the alert does not fire")
    assert at.prometheus.values("seqserve_part_up == 0") == [0.0], "more has failed than was damaged"
    at.keys.write_bytes(good)
    until(lambda: "SeqservePartDown" not in at.prometheus.firing(), "the alert does not end")


def test_a_server_that_is_gone_fires_an_alert(at: Site) -> None:
    at.server.kill()
    until(lambda: "SeqserveDown" in at.prometheus.firing(), "the alert does not fire")


def test_promtool_finds_nothing_wrong(tmp_path: Path) -> None:
    for name in ("prometheus.yml", "alerts.yml"):
        shutil.copy(DEPLOY / name, tmp_path)
    done = subprocess.run(
        ["promtool", "check", "config", "prometheus.yml"], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_leads_to_a_paragraph_that_says_what_to_do() -> None:
    for rule in RULES:
        file, _, anchor = rule["annotations"]["runbook"].partition("#")
        headings = [
            line.lstrip("# ").lower() for line in (ROOT / file).read_text().splitlines() if line[:1] == "#"
        ]
        assert anchor == rule["alert"].lower()
        assert anchor in headings
