"""What travels between the rooms: a `Step` goes down, a `Result` comes back, a `Job` is a train of steps.

Arrays stand here for one session, without the batch axis; the engine stacks and splits them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from service.errors import SeqserveError

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = Mapping[str, Array]
"""Named arrays of one session; the names are the manifest's."""

NOTHING: Arrays = {}


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


@dataclass(frozen=True, slots=True)
class Result:
    """What a step gave: outputs, the state after it, and what it adds to the context.

    State is a value: the arrays that went in with the step are untouched and stay valid.
    """

    outputs: Arrays
    state: Arrays
    context: Arrays = field(default_factory=lambda: NOTHING)


class Job(Protocol):
    """A train of steps with one owner: what it asks for next depends on what came back.

    The scheduler calls it on its own thread, one call at a time. It ends exactly once: `advance` (or `begin`)
    returns no steps, or `fail` is called; after that, and after a cancellation, it is never called again.
    """

    def begin(self) -> Sequence[Step]:
        """Return the first steps, which run in one batch with those of other jobs."""
        ...

    def advance(self, results: Sequence[Result]) -> Sequence[Step]:
        """Take the results of the last steps, in their order, and return the next steps; none ends the job."""
        ...

    def fail(self, error: SeqserveError) -> None:
        """Take the reason why no further step will run."""
        ...
