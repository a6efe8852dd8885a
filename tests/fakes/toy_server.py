"""A toy model behind its scheduler, and a whole server of toys behind a real port."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from seqserve.v1 import model_pb2_grpc, sequence_pb2_grpc, session_pb2_grpc
from service.bundle import Bundle
from service.config import EngineSettings, SchedulerSettings, Settings
from service.engine import Engine
from service.engine.onnx import OnnxEngine
from service.metrics import Metrics
from service.registry import Served
from service.scheduler import Scheduler
from service.server import Server
from tests.fakes.toy_bundles import write_toy_classifier, write_toy_translator
from tests.fakes.toy_translator import ToyEngine, ToyEngines


@contextmanager
def toy_served(folder: Path) -> Iterator[Served]:
    """The model of one bundle, its engine a ToyEngine."""
    bundle = Bundle.read(folder)
    engine = ToyEngine(bundle.manifest)
    served = Served(bundle, engine, Scheduler(engine, SchedulerSettings(), Metrics(), bundle.manifest.name))
    try:
        yield served
    finally:
        engine.let_go()
        served.close()


def engine_of(served: Served) -> ToyEngine:
    assert isinstance(served.engine, ToyEngine)
    return served.engine


@dataclass
class Toys:
    """A running server, its engines, and stubs to talk to it."""

    server: Server
    engines: ToyEngines
    channel: grpc.aio.Channel
    sequence: "sequence_pb2_grpc.SequenceServiceAsyncStub"
    models: "model_pb2_grpc.ModelServiceAsyncStub"

    @property
    def sessions(self) -> "session_pb2_grpc.SessionServiceAsyncStub":
        stub: session_pb2_grpc.SessionServiceAsyncStub = session_pb2_grpc.SessionServiceStub(self.channel)
        return stub

    def engine(self, name: str = "toy-es-en") -> ToyEngine:
        return self.engines.of[name]

    def jobs_active(self, name: str = "toy-es-en/1") -> float:
        value = self.server.metrics.registry.get_sample_value("seqserve_jobs_active", {"model": name})
        assert value is not None
        return value

    def num_calls(self, method: str, code: str) -> float:
        labels = {"method": f"/seqserve.v1.SequenceService/{method}", "code": code}
        return self.server.metrics.registry.get_sample_value("seqserve_requests_total", labels) or 0.0


def write_toys(models: Path) -> None:
    """Two that stream, and two that do not."""
    write_toy_translator(models)
    write_toy_translator(models, "two-way", streams=False, target_language="fr")
    write_toy_classifier(models)
    write_toy_classifier(models, "two-way-intents", streams=False)


@asynccontextmanager
async def serve_toys(
    models: Path,
    write: Callable[[Path], None] = write_toys,
    *,
    real: tuple[str, ...] = (),
    **pieces: dict[str, Any],
) -> AsyncIterator[Toys]:
    """`pieces` are settings, such as `limits={"max_texts": 2}`; the models named in `real` run on ONNX Runtime."""
    write(models)
    pieces["server"] = {"port": 0, "grace_s": 5.0} | pieces.get("server", {})
    flags = {**pieces, "models": {"repository": str(models)}}
    engines = ToyEngines()

    def engine_of(bundle: Bundle) -> Engine:
        return OnnxEngine(bundle, EngineSettings()) if bundle.manifest.name in real else engines(bundle)

    server = Server(Settings.load(flags=flags, environment={}), engine_of)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(server.address) as channel:
            sequence = sequence_pb2_grpc.SequenceServiceStub(channel)
            yield Toys(server, engines, channel, sequence, model_pb2_grpc.ModelServiceStub(channel))
    finally:
        for engine in engines.of.values():
            engine.let_go()
        await server.drain()
