"""The alerts of `deploy/`, each with its own patience, on a time that was recorded: no clock, no load, no luck."""

import shutil
from pathlib import Path

import pytest

from service.metrics import Metrics
from tests.conftest import Missing
from tests.system.watched.prometheus import RULES
from tests.system.watched.recorded import METHOD, MINUTES, MODEL, STORE, Minute, said_by, well

ILL_FROM, ILL_UNTIL = 8, 24


@pytest.fixture(autouse=True)
def _promtool(missing: Missing) -> None:
    if shutil.which("promtool") is None:
        missing("promtool")


def down(metrics: Metrics, known: dict[str, float]) -> None:
    known["up"] = 0


def restarts(metrics: Metrics, known: dict[str, float]) -> None:
    known["process_start_time_seconds"] += 60


def without_store(metrics: Metrics, known: dict[str, float]) -> None:
    metrics.store_breaker.labels(STORE).state("half_open")


def without_a_part(metrics: Metrics, known: dict[str, float]) -> None:
    metrics.part_up.labels("log").set(0)


def saves_wait(metrics: Metrics, known: dict[str, float]) -> None:
    metrics.save_lag_seconds.set(31)


def queue_is_full(metrics: Metrics, known: dict[str, float]) -> None:
    metrics.jobs_active.labels(MODEL).set(91)


def refuses(metrics: Metrics, known: dict[str, float]) -> None:
    metrics.requests.labels(METHOD, "RESOURCE_EXHAUSTED").inc(15)


def turns_away(metrics: Metrics, known: dict[str, float]) -> None:
    metrics.calls_turned_away.inc(4)


def fails(metrics: Metrics, known: dict[str, float]) -> None:
    metrics.requests.labels(METHOD, "INTERNAL").inc()


def begins_slowly(metrics: Metrics, known: dict[str, float]) -> None:
    for _ in range(2):
        metrics.first_token_seconds.labels(MODEL).observe(2)


def writes_slowly(metrics: Metrics, known: dict[str, float]) -> None:
    for _ in range(2):
        metrics.token_seconds.labels(MODEL).observe(0.2)


def turns_slowly(metrics: Metrics, known: dict[str, float]) -> None:
    for _ in range(24):
        metrics.loop_seconds.observe(0.2)


def makes_room(metrics: Metrics, known: dict[str, float]) -> None:
    metrics.sessions_evicted.labels("memory").inc(4)


ILLS: dict[str, Minute] = {
    "SeqserveDown": down,
    "SeqserveRestarting": restarts,
    "SeqserveStoreAway": without_store,
    "SeqservePartDown": without_a_part,
    "SeqserveSavesBehind": saves_wait,
    "SeqserveQueueFull": queue_is_full,
    "SeqserveRefusing": refuses,
    "SeqserveTurningAway": turns_away,
    "SeqserveFaults": fails,
    "SeqserveSlowFirstToken": begins_slowly,
    "SeqserveSlowTokens": writes_slowly,
    "SeqserveLoopBusy": turns_slowly,
    "SeqserveMemoryFull": makes_room,
}
"""What each alert is for: a little more than `well`."""


def test_no_alert_fires_on_the_good_side_of_every_limit(tmp_path: Path) -> None:
    assert said_by(tmp_path, lambda _: well, {minute: set() for minute in range(MINUTES)}) == ""


def test_every_alert_has_its_ill() -> None:
    assert list(ILLS) == [rule["alert"] for rule in RULES]


@pytest.mark.parametrize("alert", ILLS)
def test_an_alert_fires_alone_when_its_ill_lasts_and_ends_with_it(tmp_path: Path, alert: str) -> None:
    def minute_of(number: int) -> Minute:
        def minute(metrics: Metrics, known: dict[str, float]) -> None:
            well(metrics, known)
            if ILL_FROM <= number < ILL_UNTIL:
                ILLS[alert](metrics, known)

        return minute

    expected = {ILL_FROM - 1: set[str](), ILL_UNTIL - 1: {alert}, MINUTES - 1: set[str]()}
    assert said_by(tmp_path, minute_of, expected) == ""
