"""Runs a bundle's graphs with ONNX Runtime; nothing else imports it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import onnxruntime

from service.bundle import Bundle
from service.bundle.manifest import Manifest, TensorSpec
from service.bundle.messages import Damaged
from service.bundle.rules import ragged
from service.config import EngineSettings
from service.engine.blank import blank_step
from service.engine.devices import session_on
from service.engine.numbers import check_rows, holds_nan
from service.engine.onnx_file import has_external_data
from service.engine.products import make_exact
from service.engine.resident import ResidentRows
from service.engine.rows import Rows
from service.errors import BundleRefused, ConfigRefused, StepFailed
from service.step import Array, Result, Step

ONNX_TYPES = {"float32": "tensor(float)", "float64": "tensor(double)"} | {
    name: f"tensor({name})"
    for name in (
        *("float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"),
    )
}
FATAL_ONLY = 4
"""What fails is told by an exception. A line that nobody reads could hold up the thread that writes it."""
WARM_ROWS = (1, 16)


class OnnxEngine:
    """One ONNX Runtime session for each graph of a bundle. See `service.engine.Engine`."""

    def __init__(self, bundle: Bundle, settings: EngineSettings, pool: "GraphPool | None" = None) -> None:
        """Load every graph that is not in the pool; BundleRefused where a file is not what the manifest says."""
        self._manifest = bundle.manifest
        pool = GraphPool(settings) if pool is None else pool
        self._brake = _Brake()
        self._graphs = {name: _Graph(bundle, name, pool, self._brake) for name in bundle.manifest.graphs}

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    def run(self, graph: str, steps: Sequence[Step]) -> list[Result]:
        return self._graph(graph).run(steps) if steps else []

    def resident(self, graph: str) -> ResidentRows:
        return self._graph(graph).resident()

    def warm_up(self) -> None:
        for graph in self._graphs.values():
            graph.warm_up()

    def interrupt(self) -> None:
        self._brake.pull()

    def close(self) -> None:
        self._graphs = {}

    def _graph(self, name: str) -> "_Graph":
        if name not in self._graphs:
            raise StepFailed(f"there is no graph {name!r}; there are {', '.join(self._graphs)}")
        return self._graphs[name]


class GraphPool:
    """Sessions of ONNX Runtime by their file's hash, as long as an engine has them: equal graphs are loaded once."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._sessions: WeakValueDictionary[str, Any] = WeakValueDictionary()

    def session(self, bundle: Bundle, graph: str) -> Any:
        """Of one graph of a bundle; BundleRefused."""
        key = bundle.graph_hash(graph)
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = _session(bundle, graph, self._settings)
        return session

    def __len__(self) -> int:
        return len(self._sessions)


class _Brake:
    """Ends what an engine runs, from another thread. What is run next is not held up."""

    def __init__(self) -> None:
        self._options = onnxruntime.RunOptions()

    def options(self) -> Any:
        """For the next run."""
        if self._options.terminate:
            self._options = onnxruntime.RunOptions()
        return self._options

    def pull(self) -> None:
        """ONNX Runtime looks at it between any two nodes, in the bodies of loops as well."""
        self._options.terminate = True


class _Graph:
    """One graph: its session and the layout of its batches."""

    def __init__(self, bundle: Bundle, name: str, pool: GraphPool, brake: _Brake) -> None:
        self._name = name
        self._brake = brake
        self._checks_numbers = bundle.manifest.task != "tensors"
        """Whether NaN is a fault: what foreign graphs mean by it is their callers' affair."""
        self._spec = bundle.manifest.graphs[name]
        self._rows = Rows(name, self._spec)
        self._session = pool.session(bundle, name)
        self._moved = {
            t.tensor: t.batch_axis for t in (*self._spec.inputs, *self._spec.outputs) if t.batch_axis
        }
        """Tensors of the file whose batch does not come first → where it does."""
        where, single = bundle.path / self._spec.file, self._spec.max_rows == 1
        _match(
            where, self._session.get_inputs(), self._spec.inputs, exhaustive=True, single=single, loose=False
        )
        _match(
            where,
            self._session.get_outputs(),
            self._spec.outputs,
            exhaustive=False,
            single=single,
            loose=self._spec.chunk == 1,
        )

    def run(self, steps: Sequence[Step]) -> list[Result]:
        return self._run(self._rows, steps)

    def warm_up(self) -> None:
        """Run blank steps, alone and together, as they come and as they stay; none of them is kept."""
        for num in sorted({min(num, self._spec.max_rows or num) for num in WARM_ROWS}):
            steps = [blank_step(self._spec)] * num
            self._run(Rows(self._name, self._spec), steps)
            rows = (t for t in self._spec.inputs if t.role in ("input", "state"))
            if not self._moved and not any(map(ragged, rows)):
                self._run_resident(steps)

    def _run(self, rows: Rows, steps: Sequence[Step]) -> list[Result]:
        batch = rows.stack(steps)
        feeds = self._to_file(batch.feeds) if self._moved else dict(batch.feeds)
        with _failing(self._name):
            arrays: list[Array] = self._session.run(batch.fetched, feeds, self._brake.options())
        if self._moved:
            arrays = self._from_file(batch.fetched, arrays)
        results = rows.split(batch, arrays)
        if self._checks_numbers and any(
            tensor.role == "output" and holds_nan(array)
            for tensor, array in zip(batch.answers, arrays, strict=True)
        ):
            check_rows(self._name, (result.outputs for result in results))
        return results

    def _to_file(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The tensors with the batch where the file has it."""
        return {
            name: np.ascontiguousarray(np.moveaxis(array, 0, self._moved.get(name, 0)))
            for name, array in feeds.items()
        }

    def _from_file(self, names: Sequence[str], arrays: Sequence[Array]) -> list[Array]:
        """The tensors with the batch in front; a file that answers a shape of its own is refused by the rows."""
        return [
            np.moveaxis(array, at, 0) if (at := self._moved.get(name, 0)) < array.ndim else array
            for name, array in zip(names, arrays, strict=True)
        ]

    def _run_resident(self, steps: Sequence[Step]) -> None:
        names = {role: [t.name for t in self._spec.inputs if t.role == role] for role in ("input", "size")}
        resident = self.resident()
        resident.reseat([], steps)
        resident.run(
            {name: np.stack([step.inputs[name] for step in steps]) for name in names["input"]},
            dict.fromkeys(names["size"], 1),
        )

    def resident(self) -> ResidentRows:
        if self._moved:
            raise StepFailed(
                f"graph {self._name} has a batch that does not come first; its rows cannot stay in it"
            )
        binding = _Binding(self._name, self._session, self._brake)
        return ResidentRows(self._name, self._spec, binding, checks_numbers=self._checks_numbers)


class _Binding:
    """One IO binding of a graph. What is bound is kept alive here."""

    def __init__(self, graph: str, session: Any, brake: _Brake) -> None:
        self._graph = graph
        self._session = session
        self._brake = brake
        self._io = session.io_binding()
        self._bound: dict[str, Array] = {}
        self._fetched: list[str] = []

    def bind(self, tensor: str, array: Array) -> None:
        self._bound[tensor] = array = np.asarray(array, order="C")
        self._io.bind_cpu_input(tensor, array)

    def run(self, outputs: Mapping[str, Array | None]) -> list[Array]:
        if self._fetched != (names := list(outputs)):
            self._io.clear_binding_outputs()
            self._fetched = names
        for tensor, array in outputs.items():
            if array is None:
                self._io.bind_output(tensor)
            else:
                self._io.bind_output(tensor, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        with _failing(self._graph):
            self._session.run_with_iobinding(self._io, self._brake.options())
        return [
            value.numpy() if array is None else array
            for array, value in zip(outputs.values(), self._io.get_outputs(), strict=True)
        ]


@contextmanager
def _failing(graph: str) -> Iterator[None]:
    """What ONNX Runtime raises inside is a failed step; its own errors have no common class."""
    try:
        yield
    except Exception as error:
        raise StepFailed(f"graph {graph} failed: {_first_line(error)}") from error


def _session(bundle: Bundle, graph: str, settings: EngineSettings) -> Any:
    """Load from verified bytes, so that what runs is what was hashed."""
    model = bundle.read_graph(graph)
    where = bundle.path / bundle.manifest.graphs[graph].file
    try:
        is_elsewhere = has_external_data(model)
    except Damaged as error:
        raise BundleRefused(f"{where}: is no ONNX file: {error}") from None
    if is_elsewhere:
        raise BundleRefused(f"{where}: keeps weights in another file, and not as a bundle shares them")
    try:
        return session_on(settings, model, _options(settings))
    except ConfigRefused:
        raise
    except Exception as error:  # a damaged or hostile file raises anything
        raise BundleRefused(f"{where}: ONNX Runtime cannot load it: {_first_line(error)}") from None


def _options(settings: EngineSettings) -> Any:
    """No spinning: a thread that waits would take its core from the other models and from the wire.

    No arena: it keeps the memory of the largest batch for good, and is no faster (measured: encoder 2 layers of 256,
    two-way; decoder of 512; batches of 1 to 32).
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False
    options.log_severity_level = FATAL_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    make_exact(options)
    return options


def _match(
    where: object,
    found: Sequence[Any],
    specs: Sequence[TensorSpec],
    *,
    exhaustive: bool,
    single: bool,
    loose: bool,
) -> None:
    """Check that the file's tensors are the manifest's: names, types, ranks, sizes, a batch axis that is free.

    A graph that runs one row at a time (`single`) may have a batch of one; one that takes a single input at a time may
    say what it likes of the length of its answers (`loose`), as some exporters do: they are looked at when they come.
    """
    tensors = {tensor.name: tensor for tensor in found}
    for spec in specs:
        if spec.tensor not in tensors:
            raise BundleRefused(f"{where}: has no tensor {spec.tensor!r}; it has {', '.join(tensors)}")
        tensor = tensors.pop(spec.tensor)
        if tensor.type != ONNX_TYPES[spec.dtype]:
            raise BundleRefused(f"{where}: {spec.tensor} is {tensor.type}, the manifest says {spec.dtype}")
        axes = list(spec.axes)
        if spec.batch_axis:
            axes.insert(spec.batch_axis, axes.pop(0))
        if not _same(tensor.shape, axes, single=single, loose=loose):
            raise BundleRefused(f"{where}: {spec.tensor} has shape {tensor.shape}, the manifest says {axes}")
    if tensors and exhaustive:
        raise BundleRefused(f"{where}: takes {', '.join(tensors)}, which the manifest does not name")


def _same(shape: Sequence[object], axes: Sequence[str | int], *, single: bool, loose: bool) -> bool:
    """A fixed size of the manifest may be unknown to the file; one that differs by row may not be fixed there."""

    def fits(size: object, axis: str | int) -> bool:
        if not isinstance(size, int) or size == axis:
            return True
        return (single and size == 1) if axis == "batch" else (loose and isinstance(axis, str))

    return len(shape) == len(axes) and all(map(fits, shape, axes))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
