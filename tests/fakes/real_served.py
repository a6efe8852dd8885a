"""A model of the real exporter behind its scheduler, on ONNX Runtime."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from service.bundle import Bundle
from service.config import EngineSettings, SchedulerSettings
from service.engine.base import Resident
from service.engine.onnx import OnnxEngine
from service.metrics import Metrics
from service.registry import Served
from service.scheduler import Scheduler
from service.step import Array, Arrays, Result, Step


class CountingEngine(OnnxEngine):
    """Counts the tokens that go through each graph."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle, EngineSettings())
        self.num: Counter[str] = Counter()

    def run(self, graph: str, steps: Sequence[Step]) -> list[Result]:
        for step in steps:
            self.num[graph] += len(step.inputs["tokens"]) if "tokens" in step.inputs else 1
        return super().run(graph, steps)

    def resident(self, graph: str) -> Resident:  # type: ignore[override]
        return _Counting(super().resident(graph), self.num, graph)


class _Counting:
    def __init__(self, resident: Resident, num: Counter[str], graph: str) -> None:
        self._resident, self._num, self._graph = resident, num, graph

    def reseat(self, leaving: Sequence[int], joining: Sequence[Step]) -> list[int]:
        return self._resident.reseat(leaving, joining)

    def run(self, inputs: Mapping[str, Array], sizes: Mapping[str, int]) -> tuple[Arrays, Arrays]:
        self._num[self._graph] += len(next(iter(inputs.values())))
        return self._resident.run(inputs, sizes)

    @property
    def states(self) -> Arrays:
        return self._resident.states

    def step(self, slot: int, inputs: Arrays) -> Step:
        return self._resident.step(slot, inputs)


@contextmanager
def real_served(folder: Path) -> Iterator[Served]:
    """The model of one bundle; its engine is a CountingEngine."""
    bundle = Bundle.read(folder)
    engine = CountingEngine(bundle)
    served = Served(bundle, engine, Scheduler(engine, SchedulerSettings(), Metrics(), bundle.manifest.name))
    try:
        yield served
    finally:
        served.close()


def counted(served: Served) -> Counter[str]:
    """What its engine has counted so far."""
    assert isinstance(served.engine, CountingEngine)
    return Counter(served.engine.num)
