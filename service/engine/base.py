"""What the scheduler asks of an engine."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from service.bundle.manifest import Manifest
from service.step import Array, Arrays, Result, Step


class Resident(Protocol):
    """Rows of one graph that stay in their batch from run to run: only who comes and who goes is moved.

    Rows lie in the slots 0, 1, …, without a gap. Called by one thread at a time.
    """

    def reseat(self, leaving: Sequence[int], joining: Sequence[Step]) -> list[int]:
        """Let rows go and others in; returns who sits where now.

        The answer holds, for each slot, the slot where its row sat before, or -1 - i for the i-th of those who join.
        The inputs of joining steps matter for their shapes only; an output that one of them wants is fetched for all
        rows as long as its row is there. StepFailed, and nothing has changed, where one of
        them does not fit the graph.
        """
        ...

    def run(self, inputs: Mapping[str, Array], sizes: Mapping[str, int]) -> tuple[Arrays, Arrays]:
        """Run all rows: (outputs that some row wants, states after the step), each `[batch, …]`, as the inputs are.

        Ragged axes of outputs are padded. The states stay the rows' own for the next run; nobody writes to what is
        returned. After StepFailed, every row stands where it stood.
        """
        ...

    @property
    def states(self) -> Arrays:
        """The rows' states, `[batch, …]`; nobody writes to them."""
        ...

    def step(self, slot: int, inputs: Arrays) -> Step:
        """One row as a step of its own, so that it can be run elsewhere."""
        ...


class Engine(Protocol):
    """Runs batches of one model. Called by one thread at a time.

    Running is pure: steps are values, so a batch that failed may be run again in parts.
    """

    @property
    def manifest(self) -> Manifest:
        """The graphs that it runs."""
        ...

    def run(self, graph: str, steps: Sequence[Step]) -> list[Result]:
        """Run the steps as one batch, results in their order; StepFailed where one of them cannot be run."""
        ...

    def resident(self, graph: str) -> Resident:
        """A batch without rows; StepFailed where there is no such graph."""
        ...

    def warm_up(self) -> None:
        """Run every graph as the first requests will, so that they do not pay for it."""
        ...

    def interrupt(self) -> None:
        """End what is being run, from any thread: it fails, as soon as the engine can be stopped; then all goes on."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...
