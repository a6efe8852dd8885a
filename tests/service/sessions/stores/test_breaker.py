"""The breaker leaves a failing store alone, and finds out by itself when it is back."""

import asyncio

import pytest
from structlog.testing import capture_logs

from service.config import StoreSettings
from service.errors import ConfigRefused, Fenced, InvalidInput, SessionNotFound, StoreAway
from service.metrics import Metrics
from service.sessions.stores import STORES, Breaker, open_store
from service.sessions.stores.base import Health, Stored
from service.sessions.stores.memory import MemoryStore
from tests.service.sessions.stores.conftest import Clock


class Shaky(MemoryStore):
    """Fails as the test says, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: Exception | None = None
        self.asked = 0
        self.gate: asyncio.Event | None = None

    async def describe(self, session_id: str, owner: str) -> Stored:
        self.asked += 1
        fault = self.fault
        if self.gate:
            await self.gate.wait()
        if fault:
            raise fault
        return await super().describe(session_id, owner)

    async def health(self) -> Health:
        self.asked += 1
        return Health(self.fault is None, str(self.fault))


class Bench:
    def __init__(self) -> None:
        self.store, self.clock, self.metrics = Shaky(), Clock(), Metrics()
        self.breaker = Breaker(self.store, self.metrics, failures=3, open_s=2.0, clock=self.clock)

    async def ask(self) -> str:
        """The name of what came of one operation."""
        try:
            await self.breaker.describe("s", "ann")
        except Exception as error:
            return type(error).__name__
        return "answered"

    async def fail(self, times: int) -> None:
        self.store.fault = StoreAway("gone")
        for _ in range(times):
            assert await self.ask() == "StoreAway"

    def count(self, outcome: str) -> float:
        labels = {"store": "memory", "operation": "describe", "outcome": outcome}
        return self.metrics.registry.get_sample_value("seqserve_store_operations_total", labels) or 0

    def shown(self) -> list[str]:
        """The states that the metric shows as being the case."""
        return [
            sample.labels["seqserve_store_breaker"]
            for metric in self.metrics.registry.collect()
            for sample in metric.samples
            if sample.name == "seqserve_store_breaker" and sample.value
        ]


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    await bench.store.create("s", "ann", 1e9)
    return bench


async def test_after_failures_in_a_row_the_store_is_left_alone(bench: Bench) -> None:
    assert bench.shown() == ["closed"]
    await bench.fail(3)
    assert bench.shown() == ["open"]
    assert bench.store.asked == 3
    with pytest.raises(StoreAway, match="gone") as away:
        await bench.breaker.describe("s", "ann")
    assert 0 < away.value.retry_after_s <= 2
    assert bench.store.asked == 3
    assert (bench.count("away"), bench.count("not_tried")) == (3, 1)


async def test_an_answer_between_failures_starts_the_count_again(bench: Bench) -> None:
    for _ in range(3):
        await bench.fail(2)
        bench.store.fault = None
        assert await bench.ask() == "answered"
    assert bench.breaker.state == "closed"


async def test_refusals_are_answers_and_no_failures(bench: Bench) -> None:
    for fault in (Fenced("x"), SessionNotFound("x"), InvalidInput("x")):
        bench.store.fault = fault
        for _ in range(5):
            assert await bench.ask() == type(fault).__name__
    assert bench.breaker.state == "closed"
    assert [bench.count(outcome) for outcome in ("fenced", "not_found", "invalid")] == [5, 5, 5]


async def test_a_fault_of_the_store_itself_counts_as_away(bench: Bench) -> None:
    bench.store.fault = ZeroDivisionError()
    for _ in range(3):
        assert await bench.ask() == "StoreAway"
    assert bench.breaker.state == "open"


async def test_one_probe_closes_it_again(bench: Bench) -> None:
    await bench.fail(3)
    bench.store.fault = None
    bench.clock.now += 0.05
    assert await bench.ask() == "StoreAway"
    bench.clock.now += 0.1
    with capture_logs() as logs:
        assert await bench.ask() == "answered"
    assert [entry["event"] for entry in logs] == ["the store is back"]
    assert bench.shown() == ["closed"]


async def test_a_probe_that_fails_leaves_it_open_for_twice_as_long(bench: Bench) -> None:
    await bench.fail(3)
    asked = bench.store.asked
    for left_alone_s in (0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0):
        bench.clock.now += left_alone_s - 0.05
        assert await bench.ask() == "StoreAway"
        assert bench.store.asked == asked
        bench.clock.now += 0.1
        assert await bench.ask() == "StoreAway"
        asked += 1
        assert bench.store.asked == asked


async def test_a_store_that_came_back_is_left_alone_shortly_when_it_goes_again(bench: Bench) -> None:
    for _ in range(3):
        await bench.fail(3)
        bench.clock.now += 0.15
        bench.store.fault = None
        assert await bench.ask() == "answered"


async def test_a_refusal_as_the_probes_answer_closes_it(bench: Bench) -> None:
    await bench.fail(3)
    bench.clock.now += 2.1
    bench.store.fault = SessionNotFound("x")
    assert await bench.ask() == "SessionNotFound"
    assert bench.breaker.state == "closed"


async def test_what_a_store_does_without_being_there_does_not_bring_it_back(bench: Bench) -> None:
    await bench.fail(3)
    bench.clock.now += 10.0
    with capture_logs() as logs:
        for chore in (bench.breaker.sweep, bench.breaker.count):
            with pytest.raises(StoreAway, match="gone"):
                await chore()
            assert bench.breaker.state == "open"
    assert not logs
    bench.store.fault = None
    assert await bench.ask() == "answered"
    assert await bench.breaker.sweep() == 0


async def test_what_a_store_does_without_being_there_is_no_answer_between_failures(bench: Bench) -> None:
    await bench.fail(2)
    await bench.breaker.sweep()
    await bench.breaker.count()
    await bench.fail(1)
    assert bench.breaker.state == "open"


async def test_only_one_probe_goes_through_at_a_time(bench: Bench) -> None:
    await bench.fail(3)
    bench.clock.now += 2.1
    bench.store.fault, bench.store.gate = None, asyncio.Event()
    probe = asyncio.create_task(bench.ask())
    await asyncio.sleep(0)
    assert bench.shown() == ["half_open"]
    assert await bench.ask() == "StoreAway"
    bench.store.gate.set()
    assert await probe == "answered"
    assert bench.store.asked == 4


async def test_a_probe_whose_caller_leaves_makes_room_for_the_next(bench: Bench) -> None:
    await bench.fail(3)
    bench.clock.now += 2.1
    bench.store.fault, bench.store.gate = None, asyncio.Event()
    probe = asyncio.create_task(bench.ask())
    await asyncio.sleep(0)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    bench.store.gate = None
    assert await bench.ask() == "answered"
    assert bench.breaker.state == "closed"


async def test_late_answers_of_before_decide_nothing(bench: Bench) -> None:
    """Operations that began while it was closed and end while it is open neither close nor prolong it."""
    gate = bench.store.gate = asyncio.Event()
    late_success = asyncio.create_task(bench.ask())
    await asyncio.sleep(0)
    bench.store.fault = StoreAway("gone")
    late_failure = asyncio.create_task(bench.ask())
    await asyncio.sleep(0)
    bench.store.gate = None
    await bench.fail(3)
    bench.clock.now += 0.05
    gate.set()
    assert await late_success == "answered"
    assert await late_failure == "StoreAway"
    assert bench.shown() == ["open"]
    bench.clock.now += 0.2
    bench.store.fault = None
    assert await bench.ask() == "answered"


async def test_whoever_asks_for_health_finds_out_that_it_is_away_and_that_it_is_back(bench: Bench) -> None:
    bench.store.fault = OSError("no route")
    for _ in range(3):
        assert not (await bench.breaker.health()).serving
    assert bench.shown() == ["open"]
    asked = bench.store.asked
    health = await bench.breaker.health()
    assert not health.serving
    assert "no route" in health.detail
    assert bench.store.asked == asked
    bench.store.fault = None
    bench.clock.now += 2.1
    assert (await bench.breaker.health()).serving
    assert bench.breaker.state == "closed"


async def test_the_breaker_passes_everything_through_and_counts_it() -> None:
    metrics = Metrics()
    store = open_store(StoreSettings(kind="memory"), metrics)
    assert store is not None
    assert await store.create("s", "ann", 60, epoch=4, revision=1, data=b"x", summary="y") == 4
    assert await store.save("s", "ann", 4, 2, b"zz", 60, summary="w") == 2
    await store.touch("s", "ann", 4, 60)
    assert (await store.claim("s", "ann")).data == b"zz"
    stored = await store.describe("s", "ann")
    assert (stored.epoch, stored.summary) == (5, "w")
    assert (await store.list("ann", 1)).sessions == (stored,)
    await store.delete("s", "ann")
    assert await store.sweep() == 0
    assert (await store.health()).serving
    await store.close()
    done = {
        sample.labels["operation"]
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "seqserve_store_operations_total" and sample.value == 1
    }
    assert done == {"create", "save", "touch", "claim", "describe", "list", "delete", "sweep", "health"}


def test_an_unknown_kind_is_refused_with_the_kinds_there_are() -> None:
    with pytest.raises(ConfigRefused, match="valid: none, memory, sqlite, redis"):
        open_store(StoreSettings(kind="etcd"), Metrics())
    assert set(STORES) == {"none", "memory", "sqlite", "redis"}


def test_without_a_store_there_is_none() -> None:
    assert open_store(StoreSettings(), Metrics()) is None
