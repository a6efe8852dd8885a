"""Builds every part, hands them to each other, starts and drains: the only place that knows them all."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from functools import partial
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from seqserve.inference import grpc_service_pb2, grpc_service_pb2_grpc
from seqserve.v1 import (
    model_pb2,
    model_pb2_grpc,
    multiplex_pb2,
    multiplex_pb2_grpc,
    sequence_pb2,
    sequence_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
)
from service import interpreter, logs
from service.api import CallInterceptor, Calls, ModelServicer, Owners, SequenceServicer, SessionServicer
from service.api.door import Door
from service.api.expected import count_from_zero
from service.api.exposure import check_exposure
from service.api.handlers import Handlers
from service.api.health import SERVICE_NAME as HEALTH
from service.api.health import Health
from service.api.inference import Administration, InferenceServicer
from service.api.listening import Unregistered, bind, options
from service.api.multiplex import MultiplexServicer
from service.api.page import MetricsPage
from service.api.patience import Patience
from service.api.quotas import Quotas
from service.api.tls import Certificates, certificates
from service.api.tracing import Tracing
from service.api.turned_away import COUNTED, TurnedAway
from service.api.urgency import Urgency
from service.api.visits import Visits
from service.bundle import Bundle
from service.config import Settings
from service.endings import endings
from service.engine import Engine
from service.engine.devices import check_device
from service.engine.onnx import GraphPool, OnnxEngine
from service.errors import ConfigRefused, StoreAway
from service.metrics import Metrics
from service.parts import Parts
from service.ports import check_free
from service.registry import Registry, Served
from service.scheduler import Scheduler
from service.sessions import Directory, Sessions, SessionTable
from service.sessions.changes import Changes, Changing
from service.sessions.keeper import Keeper
from service.sessions.seal import Keyring
from service.sessions.stores import open_store
from service.sessions.tickets import Tickets

SERVICES = (
    sequence_pb2.DESCRIPTOR.services_by_name["SequenceService"].full_name,
    session_pb2.DESCRIPTOR.services_by_name["SessionService"].full_name,
    model_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name,
    multiplex_pb2.DESCRIPTOR.services_by_name["MultiplexService"].full_name,
    grpc_service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name,
)
TIDY_EVERY_S = 1.0
"""How often sessions that nobody came back for are forgotten, and idle ones packed."""
SWEEP_EVERY_S = 10.0
"""How often the store is swept, where it does not do so by itself, and its sessions are counted."""
UPKEEP_EVERY_S = 1.0
"""How often the store is asked whether it is there, and told which sessions streams hold; and all parts are asked."""
STORE = "store"
"""The part that keeps sessions, where there is one."""
LOG = "log"
CERTIFICATES = "certificates"
PAGE = "metrics"
LAST_WORDS_S = 1.0
"""For the statuses of what is turned out at the end of the grace period, and for watchers of the health."""

log = structlog.get_logger("seqserve.server")


class Server:
    """One server: `start`, then `drain`, each once."""

    def __init__(
        self,
        settings: Settings,
        engine_of: Callable[[Bundle], Engine] | None = None,
        settle: Callable[[], None] = lambda: None,
        spread: Callable[[Changes], Changing] = lambda changes: changes,
    ) -> None:
        """`engine_of` makes the engine of a bundle; ONNX Runtime's where it is left out.

        `settle` is called when models have come or gone: where the process is the server's own, `interpreter.settle`.
        `spread` is given what changes which models are served here, and returns what callers are let change.
        """
        self.settings = settings
        self._settle = settle
        self.metrics = Metrics()
        self.registry = Registry(self._serve_bundle)
        ring, table = Keyring.from_settings(settings.keys), self._make_table()
        self._keeper = self._make_keeper(ring)
        self.sessions = Sessions(
            table,
            self._keeper,
            self.registry.pinned,
            Tickets(ring, settings.sessions),
            serves_on=settings.store.when_away == "refuse_durability",
            metrics=self.metrics,
        )
        self._directory = Directory(table, self._keeper, self.sessions)
        self.changes = spread(
            Changes(
                self.registry,
                self.sessions,
                settings.models.repository,
                settings.server.unload_deadline_s,
                until_deadline=settings.server.workers > 1,
            )
        )
        self.port = 0
        pool = GraphPool(settings.engine)
        self._engine_of = engine_of or (lambda bundle: OnnxEngine(bundle, settings.engine, pool))
        self._calls = Calls()
        self.visits = Visits(
            Door(settings, self.metrics),
            Quotas(settings.quotas, self.metrics),
            Urgency(settings.quotas.max_priority),
            Patience(settings.server, self.metrics),
        )
        self.metrics.calls_active.set_function(lambda: len(self._calls))
        self.metrics.answers_unread.set_function(lambda: self.visits.patience.num_unread)
        count_from_zero(self.metrics)
        self._turned_away = TurnedAway(self.metrics, settings.server.max_pending_calls)
        self._tracing = Tracing.of(settings.trace)
        self.parts = Parts(self.metrics)
        self._health = Health(self.parts)
        self._tasks: list[asyncio.Task[None]] = []
        self._page: MetricsPage | None = None

    @property
    def address(self) -> str:
        """Where it listens, as a client writes it."""
        host = self.settings.server.host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    async def start(self) -> int:
        """Listen, load the models, answer; the port is returned. ConfigRefused says why it cannot, and what to do."""
        await self.load()
        return await self.listen()

    async def load(self, only: Collection[str] | None = None) -> None:
        """All of a start that takes long: only `listen` is left then. `only`: these models, `<name>/<version>`."""
        self._started, settings = time.perf_counter(), self.settings.server
        if settings.workers == 1:
            check_free(settings.host, settings.port, "port")
        check_exposure(self.settings)
        check_device(self.settings.engine)
        self._tls = certificates(self.settings.tls)
        try:
            await asyncio.to_thread(self._load, only)
            self._page = self._metrics_page(self._tls)
        except BaseException:
            await self._end_parts()
            raise

    async def listen(self) -> int:
        """Answer, with the models that are loaded."""
        try:
            self._grpc = self._grpc_server()
            self.port = bind(self._grpc, self.settings.server, self._tls)
        except BaseException:
            await self._end_parts()
            raise
        await self._grpc.start()
        loop = asyncio.get_running_loop()
        self.metrics.tasks.set_function(lambda: len(asyncio.all_tasks(loop)))
        self._watch_parts(self._tls)
        await self._health.serve("", *SERVICES)
        await self._look_after_parts()
        for work, every_s in (
            (self.sessions.tidy, TIDY_EVERY_S),
            (self.visits.patience.sweep, TIDY_EVERY_S),
            (self._sweep, SWEEP_EVERY_S),
            (self._upkeep, UPKEEP_EVERY_S),
            (self._look_after_parts, UPKEEP_EVERY_S),
            (self._time_the_loop, UPKEEP_EVERY_S),
            (self._turned_away.look, UPKEEP_EVERY_S),
        ):
            self._tasks.append(asyncio.create_task(self._repeat(work, every_s)))
        log.info("started", address=self.address, models=self._names(), seconds=_rounded_since(self._started))
        return self.port

    async def drain(self) -> None:
        """Take no more calls, wait `grace_s` for those that run, turn out the rest, and end all parts."""
        log.info("draining", calls=len(self._calls), grace_s=self.settings.server.grace_s)
        started = time.perf_counter()
        self._calls.close()
        with suppress(TimeoutError):  # a watcher that does not read would hold it up for ever
            await asyncio.wait_for(self._health.enter_graceful_shutdown(), LAST_WORDS_S)
        self.sessions.drain()
        if not await self._calls.wait_until_empty(self.settings.server.grace_s):
            self.turn_out()
            await self._calls.wait_until_empty(LAST_WORDS_S)
        left_s = self.settings.server.grace_s - (time.perf_counter() - started)
        await self.sessions.close_store(max(LAST_WORDS_S, left_s))
        await self._grpc.stop(LAST_WORDS_S)
        await self._end_parts()
        log.info("stopped", seconds=_rounded_since(started))

    def turn_out(self) -> None:
        """End the calls that still run, with UNAVAILABLE."""
        log.info("turning out", calls=len(self._calls))
        self._calls.turn_out()

    def _make_table(self) -> SessionTable:
        metrics = self.metrics
        table = SessionTable(
            self.settings.sessions, on_gone=lambda why: metrics.sessions_evicted.labels(why).inc()
        )
        metrics.sessions.labels("held").set_function(lambda: table.num_held)
        metrics.sessions.labels("idle").set_function(lambda: len(table) - table.num_held)
        metrics.session_bytes.labels("held").set_function(lambda: table.held_bytes)
        metrics.session_bytes.labels("idle").set_function(lambda: table.idle_bytes)
        return table

    def _make_keeper(self, ring: Keyring | None) -> Keeper | None:
        store = open_store(self.settings.store, self.metrics)
        return Keeper(store, ring, self.settings.sessions, self.metrics) if store else None

    def _grpc_server(self) -> grpc.aio.Server:
        interceptor = CallInterceptor(self._calls, self.metrics, self.visits)
        interceptors = [*([self._tracing.interceptor()] if self._tracing else []), interceptor]
        server = grpc.aio.server(
            interceptors=[self._turned_away, *interceptors],
            options=[*options(self.settings.server), COUNTED],
        )
        self._turned_away.watch_newest()
        owners, handlers = Owners(), Handlers(interceptors)
        open_to: Any = Unregistered(server, handlers)
        limits = self.settings.limits
        sequence = SequenceServicer(self.registry, self.sessions, limits, owners, self._calls)
        sequence_pb2_grpc.add_SequenceServiceServicer_to_server(sequence, open_to)
        session_pb2_grpc.add_SessionServiceServicer_to_server(
            SessionServicer(self._directory, owners), open_to
        )
        changes = (
            Administration(self.changes.load, self.changes.unload) if self.settings.server.admin else None
        )
        model_pb2_grpc.add_ModelServiceServicer_to_server(
            ModelServicer(self.registry, *(changes or ())), open_to
        )
        inference = InferenceServicer(
            self.registry, self.sessions, self.settings, owners, self._calls, self.metrics, changes
        )
        grpc_service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(inference, open_to)
        multiplex_pb2_grpc.add_MultiplexServiceServicer_to_server(
            MultiplexServicer(handlers, self.settings.server, self._calls), open_to
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, open_to)
        names = (*SERVICES, HEALTH, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, open_to)
        return server

    def _load(self, only: Collection[str] | None) -> None:
        repository = self.settings.models.repository
        self.registry.load_all(repository, only)
        if not self.registry.all() and (only is None or only):
            refused = "; ".join(f"{name}: {reason}" for name, reason in self.registry.refused.items())
            raise ConfigRefused(
                f"no model to serve in {repository.absolute()}: "
                f"{refused or 'there is no <name>/<version>/manifest.json'}. Choose the folder with --models"
            )

    def _serve_bundle(self, bundle: Bundle) -> Served:
        engine, manifest = self._engine_of(bundle), bundle.manifest
        try:
            engine.warm_up()
            name = f"{manifest.name}/{manifest.version}"
            return Served(bundle, engine, Scheduler(engine, self.settings.scheduler, self.metrics, name))
        except BaseException:  # also where no thread can be begun
            engine.close()
            raise

    def _metrics_page(self, tls: Certificates | None) -> MetricsPage | None:
        server = self.settings.server
        if not server.metrics_port:
            return None
        check_free(server.host, server.metrics_port, "metrics_port")
        locks = () if server.open_metrics else (tls, self.visits.door.shows_metrics)
        return MetricsPage(server.host, server.metrics_port, self.metrics.registry, *locks)

    async def _repeat(self, work: Callable[[], Awaitable[None]], every_s: float) -> None:
        """For as long as the server runs, whatever fails."""
        while True:
            try:
                await work()
            except Exception:
                log.exception("what has to be done again and again failed once", what=work.__name__)
            await asyncio.sleep(every_s)

    async def _sweep(self) -> None:
        """Sweep the store, and count what is in it."""
        if self._keeper is not None:
            with suppress(StoreAway):
                await self._keeper.store.sweep()
                num_cold = await self.sessions.num_cold()
                if num_cold is not None:
                    self.metrics.sessions.labels("cold").set(num_cold)

    async def _upkeep(self) -> None:
        """Keep up with the store."""
        await self.sessions.upkeep()

    def _watch_parts(self, tls: Certificates | None) -> None:
        """What may fail while the rest serves; models come and go."""
        self.parts.watch(LOG, logs.trouble)
        if (keeper := self._keeper) is not None:
            self.parts.watch(STORE, lambda: keeper.trouble)
        if self._page is not None:
            self.parts.watch(PAGE, self._page.trouble)
        if tls is not None:
            self.parts.watch(CERTIFICATES, tls.trouble)
        for name, check in self.visits.door.parts().items():
            self.parts.watch(name, check)

    async def _look_after_parts(self) -> None:
        """Say in health, metrics and log what works, and only then try again what does not: none of it goes untold."""
        models = self.registry.labels()
        come, gone = models - self.parts.names, {name for name in self.parts.names if "/" in name} - models
        for name in gone:
            self.parts.forget(name)
        for name in come:
            self.parts.watch(name, partial(self.registry.trouble, name))
        if come or gone:
            self._settle()
        await self._health.look()
        self.registry.tend()

    async def _time_the_loop(self) -> None:
        began = time.perf_counter()
        await asyncio.sleep(0)
        self.metrics.loop_seconds.observe(time.perf_counter() - began)

    async def _end_parts(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.to_thread(self.registry.close)
        if self._tracing:
            await asyncio.to_thread(self._tracing.close)
        if self._page:
            await asyncio.to_thread(self._page.close)

    def _names(self) -> list[str]:
        return [served.label for served in self.registry.all()]


def serve(settings: Settings, on_start: Callable[[Server], None] | None = None) -> None:
    """Serve until a signal of `endings`, then drain; a second one ends what still runs. `on_start` is called once."""
    logs.configure(settings.log.level, settings.log.format, texts=settings.log.texts)
    interpreter.prepare()
    asyncio.run(_serve(Server(settings, settle=interpreter.settle), on_start or (lambda server: None)))


async def _serve(server: Server, on_start: Callable[[Server], None]) -> None:
    stop = asyncio.Event()

    def end() -> None:
        if stop.is_set():
            server.turn_out()
        stop.set()

    for number in endings():
        asyncio.get_running_loop().add_signal_handler(number, end)
    await server.start()
    on_start(server)
    await stop.wait()
    await server.drain()


def _rounded_since(started: float) -> float:
    return round(time.perf_counter() - started, 2)
