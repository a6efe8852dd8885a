"""An engine whose model can be computed by hand: the state is the sum of what has been fed.

Graph `read` reads a whole list of numbers; its context is the list, its state their sum. Graph `step` adds one number,
and answers the sum and the sum times the length of the context. Failures and pauses are at the test's command.
"""

import threading
from collections.abc import Sequence

import numpy as np

from service.bundle.manifest import GraphSpec, Manifest, TensorSpec
from service.engine import Resident
from service.engine.rows import Rows
from service.errors import StepFailed
from service.step import Array, Result, Step
from tests.fakes.by_rows import ByRows

POISON = -666
"""A number that makes the batch with it fail."""
PATIENCE_S = 60.0


def _tensor(name: str, role: str, *axes: str | int, of: str | None = None) -> TensorSpec:
    return TensorSpec.model_validate(
        {"name": name, "tensor": f"{role}_{name}", "dtype": "int64", "axes": axes, "role": role, "of": of}
    )


SUM = _tensor("sum", "state", "batch")
READ = GraphSpec(
    file="read.onnx",
    inputs=(_tensor("numbers", "input", "batch", "time"), _tensor("lengths", "lengths", "batch", of="time")),
    outputs=(SUM, _tensor("list", "context", "batch", "time"), _tensor("total", "output", "batch")),
    pad={"time": 4},
)
STEP = GraphSpec(
    file="step.onnx",
    inputs=(
        _tensor("number", "input", "batch"),
        SUM,
        _tensor("list", "context", "batch", "source"),
        _tensor("lengths", "lengths", "batch", of="source"),
    ),
    outputs=(_tensor("total", "output", "batch"), _tensor("scaled", "output", "batch"), SUM),
)
MANIFEST = Manifest(
    name="running-sum",
    version="1",
    task="classify",
    streams=True,
    graphs={"read": READ, "step": STEP},
    files={},
)


class RunningSum:
    """The engine. `batches` tells what ran together: (graph, rows)."""

    manifest = MANIFEST

    def __init__(self) -> None:
        self.batches: list[tuple[str, int]] = []
        self.shapes: list[tuple[int, ...]] = []
        self.broken = False
        self.forgetful = False
        """Whether it answers one step too few."""
        self._rows = {name: Rows(name, spec) for name, spec in self.manifest.graphs.items()}
        self._paused = False
        self._reached = threading.Semaphore(0)
        self._go = threading.Semaphore(0)

    def run(self, graph: str, steps: Sequence[Step]) -> list[Result]:
        self._begin(graph, len(steps))
        rows = self._rows[graph]
        batch = rows.stack(steps)
        arrays = self._read(batch.feeds) if graph == "read" else self._step(batch.feeds)
        results = rows.split(batch, arrays)
        return results[:-1] if self.forgetful and len(steps) > 1 else results

    def resident(self, graph: str) -> Resident:
        return ByRows(graph, self.run)

    def pause(self) -> None:
        """From now on every batch waits for `let_run`."""
        self._paused = True

    def wait_for_batch(self) -> None:
        """Return when the scheduler has taken a batch, which waits."""
        assert self._reached.acquire(timeout=PATIENCE_S), "no batch came"

    def let_run(self, batches: int = 1) -> None:
        self._go.release(batches)

    def resume(self) -> None:
        """No batch waits any more."""
        self._paused = False
        self._go.release(1000)

    def warm_up(self) -> None: ...

    def interrupt(self) -> None: ...

    def close(self) -> None:
        self.resume()

    def _begin(self, graph: str, num_rows: int) -> None:
        if self._paused:
            self._reached.release()
            assert self._go.acquire(timeout=PATIENCE_S), "nobody let the batch run"
        self.batches.append((graph, num_rows))
        if self.broken:
            raise RuntimeError("the engine is broken")

    def _read(self, feeds: dict[str, Array] | object) -> list[Array]:
        assert isinstance(feeds, dict)
        numbers = feeds["input_numbers"]
        self.shapes.append(numbers.shape)
        _refuse(numbers)
        total = np.array(
            [row[:length].sum() for row, length in zip(numbers, feeds["lengths_lengths"], strict=True)]
        )
        return [total, numbers, total]

    def _step(self, feeds: dict[str, Array] | object) -> list[Array]:
        assert isinstance(feeds, dict)
        _refuse(feeds["input_number"])
        total = feeds["state_sum"] + feeds["input_number"]
        scale = (feeds["context_list"] != 0).sum(axis=1)
        return [total, total * scale, total]


def _refuse(numbers: Array) -> None:
    if (numbers == POISON).any():
        raise StepFailed("there is poison in the batch")
