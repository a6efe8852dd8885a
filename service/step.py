"""What travels between the rooms: a `Step` goes down, a `Result` comes back, a `Job` is a train of steps.

Arrays stand here for one session, without the batch axis; the engine stacks and splits them. Only a `Rollout`, whose
steps write their own successors, stays in its batch from step to step: what it chose is told in columns.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from service.errors import SeqserveError

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = Mapping[str, Array]
"""Named arrays of one session; the names are the manifest's."""

NOTHING: Arrays = {}

Wanted = tuple[str, ...] | None
"""Names of the outputs that a step is answered with; None: all. What nobody of a batch wants is not fetched."""


@dataclass(frozen=True, slots=True)
class Step:
    """One session's next pass through one graph.

    A state or context that the graph takes and the step lacks starts at the manifest's initial value (a state),
    or is an error (a context, an input).
    """

    graph: str
    inputs: Arrays
    state: Arrays = field(default_factory=lambda: NOTHING)
    context: Arrays = field(default_factory=lambda: NOTHING)
    wanted: Wanted = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a step gave: outputs, the state after it, and what it adds to the context.

    State is a value: the arrays that went in with the step are untouched and stay valid.
    """

    outputs: Arrays
    state: Arrays
    context: Arrays = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Wiring:
    """How the outputs of a graph become its next inputs: the best of `choices` is the next `chosen`."""

    graph: str
    chosen: str
    """Input: an id."""
    size: str
    """Input: how many choices are asked for."""
    choices: str
    """Output `[size]`: ids, the best first."""
    scores: str
    """Output `[size]`: their log-probabilities."""

    @property
    def wanted(self) -> Wanted:
        """The outputs that this needs."""
        return self.choices, self.scores


class Row(NamedTuple):
    """One session's place in arrays of a whole batch, which nobody writes to any more."""

    arrays: Arrays
    """Name → `[batch, …]`."""
    slot: int

    def taken(self) -> Arrays:
        """Its own arrays, which keep no batch alive."""
        return {name: array[self.slot].copy() for name, array in self.arrays.items()}


class Chosen(NamedTuple):
    """One step of a rollout: what it chose, and the state after it."""

    id: int
    log_prob: float
    state: Row


class Sink(Protocol):
    """Takes what a rollout chooses as it comes, on an event loop."""

    loop: asyncio.AbstractEventLoop

    def take(self, item: Chosen) -> None:
        """Take the next; called on the loop."""
        ...


@dataclass(frozen=True, slots=True)
class Rollout:
    """A sequence that writes itself: each step takes what the one before it chose, until the stop or the last step.

    The best choice is taken; within the first `min_steps` steps, the best that is not `stop`.
    """

    wiring: Wiring
    first: int
    """What the first step takes."""
    state: Arrays
    context: Arrays
    stop: int
    max_steps: int
    min_steps: int = 0
    sink: Sink | None = None
    """Is told of all that is chosen, the stop aside."""


class Rolled(NamedTuple):
    """What a rollout chose, the stop counted in."""

    ids: list[int]
    log_probs: list[float]
    state: Row


Ask = Sequence[Step] | Rollout
"""What a job asks for next."""
Told = Sequence[Result] | Rolled
"""What it is told then: the results of the steps in their order, or the end of the rollout."""


class Job(Protocol):
    """A train of steps with one owner: what it asks for next depends on what came back.

    The scheduler calls it on its own thread, one call at a time. It ends exactly once: `advance` (or `begin`)
    returns no steps, or `fail` is called; after that, and after a cancellation, it is never called again.
    """

    def begin(self) -> Ask:
        """Return the first steps, which run in one batch with those of other jobs, or a rollout."""
        ...

    def advance(self, told: Any) -> Ask:
        """Take what became of what it asked for last, and return what comes next; no steps end the job.

        `told` is `Told`, of the kind that fits what it asked for.
        """
        ...

    def fail(self, error: SeqserveError) -> None:
        """Take the reason why no further step will run."""
        ...
