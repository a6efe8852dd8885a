"""A running sum that writes itself: what it chooses next can be computed by hand, whoever shares its batch.

Each step adds what was chosen last to the sum. The best choice is (7 × sum + all of the context) modulo 11, the next
best the number after it, and so on; the i-th best has log-probability -(sum + all of the context + i) / 4.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from service.bundle.manifest import GraphSpec, TensorSpec
from service.engine import Resident
from service.engine.resident import ResidentRows
from service.errors import SeqserveError, StepFailed
from service.step import Array, Ask, Chosen, Result, Rolled, Rollout, Sink, Told, Wiring
from tests.fakes.by_rows import ByRows
from tests.fakes.running_sum import MANIFEST, PATIENCE_S, RunningSum

NUM_CHOICES = 11
WIRING = Wiring("write", chosen="number", size="k", choices="best", scores="log_probs")


def _tensor(name: str, dtype: str, role: str, *axes: str | int, of: str | None = None) -> TensorSpec:
    return TensorSpec.model_validate(
        {"name": name, "tensor": f"{role}_{name}", "dtype": dtype, "axes": axes, "role": role, "of": of}
    )


SUM = _tensor("sum", "int64", "state", "batch")
WRITE = GraphSpec(
    file="write.onnx",
    inputs=(
        _tensor("number", "int64", "input", "batch"),
        _tensor("k", "int64", "size", of="k"),
        SUM,
        _tensor("list", "int64", "context", "batch", "source"),
        _tensor("lengths", "int64", "lengths", "batch", of="source"),
    ),
    outputs=(
        _tensor("best", "int64", "output", "batch", "k"),
        _tensor("log_probs", "float32", "output", "batch", "k"),
        SUM,
    ),
    pad={"source": 4},
)


class RollingSum(RunningSum):
    """The engine: graphs `read` and `write`. Its residents are rows in real slots, or, told so, steps like others."""

    manifest = MANIFEST.model_copy(update={"graphs": {"read": MANIFEST.graphs["read"], "write": WRITE}})

    def __init__(self, *, in_slots: bool = True) -> None:
        super().__init__()
        self.in_slots = in_slots
        self.most_rows = 10**9
        """A larger batch fails."""
        self.refuses: Callable[[int, int], bool] = lambda total, heard: False
        """Which rows cannot be run, by their sum after the step and the sum of their context."""
        self.padded: list[tuple[int, int, int]] = []
        """The shape of each batch's contexts, and the sum of their own lengths."""

    def resident(self, graph: str) -> Resident:
        if graph not in self.manifest.graphs:
            raise StepFailed(f"there is no graph {graph!r}")
        spec = self.manifest.graphs[graph]
        return ResidentRows(graph, spec, _Bound(self, graph)) if self.in_slots else ByRows(graph, self.run)

    def run_bound(self, graph: str, feeds: Mapping[str, Array]) -> list[Array]:
        """As a session with bound inputs runs them."""
        self._begin(graph, len(feeds["input_number"]))
        return self._step(feeds)

    def _begin(self, graph: str, num_rows: int) -> None:
        super()._begin(graph, num_rows)
        if num_rows > self.most_rows:
            raise RuntimeError("too many rows")

    def _step(self, feeds: Mapping[str, Array] | object) -> list[Array]:
        assert isinstance(feeds, dict)
        context, lengths = feeds["context_list"], feeds["lengths_lengths"]
        self.padded.append((*context.shape, int(lengths.sum())))
        beyond = np.arange(context.shape[1]) >= lengths[:, None]
        assert not context[beyond].any(), "something lies beyond a row's own length"
        heard, total = context.sum(axis=1), feeds["state_sum"] + feeds["input_number"]
        if any(map(self.refuses, total.tolist(), heard.tolist())):
            raise StepFailed("a row cannot be run")
        ranks = np.arange(int(feeds["size_k"]))
        best = (7 * total + heard)[:, None] + ranks
        return [best % NUM_CHOICES, _log_probs(total + heard, ranks), total]


class _Bound:
    """See `service.engine.resident.Binding`."""

    def __init__(self, engine: RollingSum, graph: str) -> None:
        self._engine = engine
        self._graph = graph
        self._feeds: dict[str, Array] = {}

    def bind(self, tensor: str, array: Array) -> None:
        self._feeds[tensor] = array

    def run(self, outputs: Mapping[str, Array | None]) -> list[Array]:
        found = self._engine.run_bound(self._graph, self._feeds)
        for into, array in zip(outputs.values(), found, strict=True):
            if into is not None:
                assert into.shape == array.shape
                into[...] = array
        return [array if into is None else into for into, array in zip(outputs.values(), found, strict=True)]


def rollout(
    context: Sequence[int],
    *,
    first: int = 1,
    total: int = 0,
    stop: int = 0,
    max_steps: int = 12,
    min_steps: int = 0,
    sink: Sink | None = None,
    wiring: Wiring = WIRING,
) -> Rollout:
    """Write after a list, from a sum."""
    state, arrays = {"sum": np.array(total)}, {"list": np.array(context, np.int64)}
    return Rollout(wiring, first, state, arrays, stop, max_steps, min_steps, sink)


def alone(rolling: Rollout) -> tuple[list[int], list[float], int]:
    """What a rollout chooses with which log-probabilities, and its sum after that, computed by hand."""
    heard, total, last = int(rolling.context["list"].sum()), int(rolling.state["sum"]), rolling.first
    ids: list[int] = []
    log_probs: list[float] = []
    while len(ids) < rolling.max_steps and (not ids or last != rolling.stop):
        total += last
        rank = int((7 * total + heard) % NUM_CHOICES == rolling.stop and len(ids) < rolling.min_steps)
        last = (7 * total + heard + rank) % NUM_CHOICES
        ids.append(last)
        log_probs.append(float(_log_probs(np.array([total + heard]), np.array([rank]))[0, 0]))
    return ids, log_probs, total


def _log_probs(sums: Array, ranks: Array) -> Array:
    return cast("Array", (-(sums[:, None] + ranks) / 4).astype(np.float32))


class Door:
    """An event loop that does at once what it is asked to, or, shut, refuses; its time stands still."""

    def __init__(self) -> None:
        self.calls = 0
        self.is_shut = False

    def call_soon_threadsafe(self, function: Callable[..., None], *arguments: Any) -> None:
        if self.is_shut:
            raise RuntimeError("Event loop is closed")
        self.calls += 1
        function(*arguments)

    def call_soon(self, function: Callable[..., None], *arguments: Any) -> None:
        function(*arguments)

    def time(self) -> float:
        return 0.0

    def is_closed(self) -> bool:
        return self.is_shut


class Heard:
    """A sink that remembers, and may do something at each item."""

    def __init__(self, door: Door | None = None, on_item: Callable[[int], None] = lambda num: None) -> None:
        self.loop = cast("asyncio.AbstractEventLoop", door or Door())
        self.items: list[Chosen] = []
        self._on_item = on_item

    def take(self, item: Chosen) -> None:
        self.items.append(item)
        self._on_item(len(self.items))

    @property
    def ids(self) -> list[int]:
        return [item.id for item in self.items]


class Rolling:
    """A job that asks for one thing after the other and remembers what it was told."""

    def __init__(self, *asks: Ask) -> None:
        self.asks = list(asks)
        self.told: list[Told] = []
        self.error: SeqserveError | None = None
        self.ends = 0
        self.ended = threading.Event()

    def begin(self) -> Ask:
        return self._next()

    def advance(self, told: Told) -> Ask:
        assert not self.ended.is_set(), "called after its end"
        self.told.append(told)
        return self._next()

    def fail(self, error: SeqserveError) -> None:
        self.error = error
        self._end()

    def wait(self) -> "Rolling":
        assert self.ended.wait(PATIENCE_S), "the job never ended"
        return self

    def rolled(self, which: int = 0) -> tuple[list[int], list[float], int]:
        """What a rollout of it came to, as `alone` says it."""
        assert self.wait().error is None, self.error
        told = self.told[which]
        assert isinstance(told, Rolled)
        return told.ids, told.log_probs, int(told.state.taken()["sum"])

    def total(self, which: int) -> int:
        """The sum after a step of it."""
        told = self.wait().told[which]
        assert not isinstance(told, Rolled)
        result: Result = told[0]
        return int(result.state["sum"])

    def _next(self) -> Ask:
        if self.asks:
            return self.asks.pop(0)
        self._end()
        return ()

    def _end(self) -> None:
        self.ends += 1
        self.ended.set()


NEVER = -1
"""No choice is this one: a rollout with this stop goes on to its last step."""


def heard(work: Rollout, door: Door | None = None) -> tuple[Rollout, Heard]:
    sink = Heard(door)
    return replace(work, sink=sink), sink


def told(work: Rollout) -> list[int]:
    """What its sink is told: all but the stop."""
    return [chosen for chosen in alone(work)[0] if chosen != work.stop]


def many(num: int, **parts: Any) -> list[Rollout]:
    return [rollout([n + 1, 5], first=n % 11, total=3 * n, stop=NEVER, **parts) for n in range(num)]
