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
    everything: str = ""
    """Output `[num_choices]`: the log-probability of each id, where the graph tells it; else all are asked for."""
    num_choices: int = 0
    """How many ids there are; 0: not known, and no rule or drawing from all can be followed."""

    def width(self, best: int, *, needs_all: bool) -> int:
        """How many choices to ask for, where so many of the best are needed, or all."""
        if needs_all and not self.everything:
            return self.num_choices
        return min(best, self.num_choices) if self.num_choices else best

    @property
    def wanted(self) -> tuple[str, ...]:
        """The outputs that are needed whatever is chosen."""
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
    outputs: Row | None = None
    """What `Rollout.tells` and `num_told` ask for, where a rollout of the batch asks for anything."""


class Sink(Protocol):
    """Takes what a rollout chooses as it comes, on an event loop."""

    loop: asyncio.AbstractEventLoop

    def take(self, item: Chosen) -> None:
        """Take the next; called on the loop."""
        ...


@dataclass(frozen=True, slots=True)
class Drawing:
    """How a rollout draws what it chooses. A draw depends on the seed and on its place, and on nothing else."""

    seed: int
    """0 to 2^64 - 1."""
    place: int = 0
    """Of the first step, in the whole output."""
    topk: int = 0
    """From how many of the best; 0: from all."""
    topp: float = 1.0
    """From the smallest set whose probabilities add up to this."""
    temperature: float = 1.0
    """Log-probabilities are divided by it before."""


MANY = 64
"""Of 64 rows and 6,000 ids, to sort out the 64 best takes about as long as a third of the step before."""


class Rule(Protocol):
    """What one rollout may choose, step by step; called on the scheduler's thread, in this order at each step."""

    def needs_all(self) -> bool:
        """Whether the next step needs the log-probabilities of all ids; else the best is chosen, or drawn."""
        ...

    def adjust(self, log_probs: Array) -> None:
        """Change `[num_choices]`, from which is chosen, in place; what may not be chosen becomes -inf."""
        ...

    def took(self, chosen: int) -> bool:
        """Take note of what was chosen; whether it is the last."""
        ...


@dataclass(frozen=True, slots=True)
class Rollout:
    """A sequence that writes itself: each step takes what the one before it chose, until the stop or the last step.

    The best choice is taken, or one is drawn; within the first `min_steps` steps, the best that is not `stop`. Where a
    rule leaves nothing to choose from, the stop is chosen.
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
    """Is told of all that is chosen, the stop aside, and aside what a rule said was the last."""
    drawing: Drawing | None = None
    rule: Rule | None = None
    num_told: int = 0
    """How many of the best choices are told with each that was chosen, with their scores."""
    tells: tuple[str, ...] = ()
    """Outputs of the graph that are told with each choice."""

    @property
    def needs_all(self) -> bool:
        """Whether a step may need the log-probabilities of all ids."""
        return self.rule is not None or self.draws_from_all

    @property
    def draws_from_all(self) -> bool:
        """Whether it draws from so many that all are asked for; one row that asks for k of the best costs every row."""
        if self.drawing is None:
            return False
        return self.drawing.topk == 0 or (self.drawing.topk > MANY and bool(self.wiring.everything))

    @property
    def wanted(self) -> tuple[str, ...]:
        """The outputs that its steps need."""
        everything = self.wiring.everything if self.needs_all else ""
        return (*self.wiring.wanted, *((everything,) if everything else ()), *self.tells)


class Rolled(NamedTuple):
    """What a rollout chose, the stop counted in. The log-probabilities are the graph's, whatever rules made of them."""

    ids: list[int]
    log_probs: list[float]
    state: Row
    outputs: Sequence[Arrays] = ()
    """What was to be told with each choice."""


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
