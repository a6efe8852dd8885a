"""The task `tensors`: a graph that someone else made, fed step by step with tensors or readings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.config import LimitSettings
from service.errors import InvalidInput
from service.registry import Served
from service.sessions import Reading
from service.sessions.session import Pending
from service.step import Array, Arrays, Result, Step
from service.tasks.intake import Given, NamedArrays, Readings, Taken, not_taken
from service.tasks.jobs import Program
from service.tasks.look import Look
from service.tasks.reader import Read
from service.tasks.said import NamedTensor, Said
from service.tasks.tensors import TensorGraph


class Stepper:
    """Answers each feed with what the graph answers; pieces of any length are as good as the whole."""

    max_inputs = None

    def __init__(self, served: Served, limits: LimitSettings) -> None:
        self.served = served
        self.graph = TensorGraph.of(served.bundle, next(iter(served.manifest.graphs)))
        self.reader = StepReader(self.graph)

    def intake(self, pending: Pending | None) -> "StepIntake":
        return StepIntake(self.graph)

    def say(
        self, taken: Taken, outputs: Sequence[Arrays], reading: Reading, pending: Pending | None
    ) -> tuple[Said, Pending | None]:
        if not outputs:
            return Said(), pending
        said = _stacked(outputs) if taken.notes else self.graph.merged(outputs)
        return Said(tensors=tuple(NamedTensor(name, array) for name, array in said.items())), pending


class StepIntake:
    """Tensors or readings become the inputs of steps; nothing is held back."""

    def __init__(self, graph: TensorGraph) -> None:
        self._graph = graph
        self._inputs = [t for t in graph.spec.inputs if t.role == "input"]

    async def take(self, given: Given, ends: bool) -> Taken:
        if given is None:
            return self.finish()
        if isinstance(given, NamedArrays):
            return _steps(self._pieces(given.arrays), stacks=False)
        if isinstance(given, Readings):
            return self._of_readings(given.values)
        raise not_taken(given, self._expected())

    def finish(self) -> Taken:
        return _steps([], stacks=False)

    def pending(self) -> None:
        return None

    def _of_readings(self, values: Array) -> Taken:
        """`[time, dim]`: along the graph's axis of time, or one step for each reading where it has none."""
        if len(self._inputs) != 1:
            raise not_taken(Readings(values), self._expected())
        [spec] = self._inputs
        if any(isinstance(axis, str) for axis in spec.axes[1:]):
            return _steps(self._pieces({spec.name: values}), stacks=False)
        rows = [piece for value in values for piece in self._pieces({spec.name: value})]
        return _steps(rows, stacks=True)

    def _pieces(self, arrays: dict[str, Array]) -> list[Arrays]:
        if not arrays:
            raise InvalidInput(
                f"the feed holds no tensors; expected {self._expected()}", field="feed.tensors"
            )
        rows = {name: self._cast(name, array)[None] for name, array in arrays.items()}
        [row] = self._graph.rows(rows)
        return list(self._graph.pieces(row))

    def _cast(self, name: str, array: Array) -> Array:
        """To the graph's type, where that loses nothing: the message has one type for all floats, and one for ints."""
        wanted = next((np.dtype(t.dtype) for t in self._inputs if t.name == name), array.dtype)
        if wanted == array.dtype:
            return array
        with np.errstate(all="ignore"):
            cast = array.astype(wanted)
            same = np.array_equal(cast.astype(array.dtype), array, equal_nan=array.dtype.kind == "f")
        if not same:
            raise InvalidInput(f"{name} holds a value that is no {wanted}", field="feed.tensors")
        return cast

    def _expected(self) -> str:
        names = ", ".join(f"{t.name} {t.dtype} {list(t.axes[1:])}" for t in self._inputs)
        features = " (or features)" if len(self._inputs) == 1 else ""
        return f"tensors{features}: {names}"


@dataclass(frozen=True, slots=True)
class StepReader:
    """Runs one step for each entry of what was taken."""

    stepped: TensorGraph

    @property
    def graph(self) -> str:
        return self.stepped.name

    def read(self, inputs: Array, reading: Reading, look: Look | None = None) -> Program[Read]:
        said: list[Arrays] = []
        for step in inputs:
            (result,) = yield (Step(self.graph, step, reading.state, wanted=self.stepped.wanted),)
            said.append({name: array.copy() for name, array in result.outputs.items()})
            reading = reading.then(Result({}, result.state, result.context), self.stepped.length(step))
        return Read(reading, tuple(said))


def _steps(pieces: Sequence[Arrays], *, stacks: bool) -> Taken:
    """`[steps]` of the inputs of each; `stacks` says that the outputs get an axis for them."""
    array = np.empty(len(pieces), object)
    array[:] = pieces
    return Taken(array, stacks)


def _stacked(said: Sequence[Arrays]) -> Arrays:
    return {name: np.stack([each[name] for each in said]) for name in said[0]}
