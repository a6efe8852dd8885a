"""A resident batch for engines that know nothing but `run`: its rows are steps like any others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from service.engine.resident import seating
from service.errors import StepFailed
from service.scheduler.rollouts import stacked
from service.step import Array, Arrays, Result, Step


class ByRows:
    """See `service.engine.Resident`."""

    def __init__(self, graph: str, run: Callable[[str, Sequence[Step]], list[Result]]) -> None:
        self._graph = graph
        self._run = run
        self._steps: list[Step] = []

    def reseat(self, leaving: Sequence[int], joining: Sequence[Step]) -> list[int]:
        order = seating(len(self._steps), leaving, len(joining))
        self._steps = [self._steps[row] if row >= 0 else joining[-1 - row] for row in order]
        return order

    def run(self, inputs: Mapping[str, Array], sizes: Mapping[str, int]) -> tuple[Arrays, Arrays]:
        results = self._run(self._graph, [self._with(row, inputs, sizes) for row in range(len(self._steps))])
        if len(results) != len(self._steps):
            raise StepFailed("some rows were not answered")
        self._steps = [
            replace(step, state={**step.state, **result.state})
            for step, result in zip(self._steps, results, strict=True)
        ]
        outputs = {name: stacked([r.outputs[name] for r in results]) for name in results[0].outputs}
        return outputs, self.states

    @property
    def states(self) -> Arrays:
        names = self._steps[0].state if self._steps else ()
        return {name: np.stack([step.state[name] for step in self._steps]) for name in names}

    def step(self, slot: int, inputs: Arrays) -> Step:
        return replace(self._steps[slot], inputs=inputs)

    def _with(self, row: int, inputs: Mapping[str, Array], sizes: Mapping[str, int]) -> Step:
        own = {name: array[row, ...] for name, array in inputs.items()}
        return replace(self._steps[row], inputs={**own, **{n: np.array(s) for n, s in sizes.items()}})
