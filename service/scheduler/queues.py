"""Steps that wait, by graph, and which of them make the next batch."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.bundle.manifest import GraphSpec
from service.config import SchedulerSettings
from service.errors import StepFailed
from service.priority import Priority
from service.scheduler.run import Run
from service.scheduler.shares import Shares
from service.step import Step


@dataclass(slots=True)
class Waiting:
    """A step in a queue."""

    run: Run
    index: int
    """Which of its run's current steps it is."""
    step: Step
    length: int
    """Its padded length, where its graph has a ragged axis; else 1."""

    @property
    def priority(self) -> Priority:
        return self.run.priority


FAR = 2**40
"""Longer than any step."""


class Queue:
    """The waiting steps of one graph, oldest first."""

    def __init__(self, spec: GraphSpec, settings: SchedulerSettings) -> None:
        self._waiting: list[Waiting] = []
        self._shares = Shares()
        self._max_batch = min(settings.max_batch, spec.max_rows or settings.max_batch)
        self._rulers = _rulers(spec, "input") or _rulers(spec, "context")
        self._pad = spec.pad
        self._reads = bool(_rulers(spec, "input"))
        self._max_tokens = settings.max_encode_tokens if self._reads else settings.max_context_tokens

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, run: Run, index: int, step: Step) -> None:
        """Add a step."""
        self._waiting.append(Waiting(run, index, step, self._length(step)))

    def purge(self) -> None:
        """Forget the steps of runs that have ended."""
        self._waiting = [waiting for waiting in self._waiting if not waiting.run.ended]

    def take(self, max_tokens: float = float("inf")) -> list[Waiting]:
        """Take the next batch; `max_tokens` bounds it further where sequences are read.

        Where not all go, the oldest step of the priority whose turn it is is always in it, so that nobody starves; then
        the others of its priority, then those of the others: of each the oldest, or, where their lengths differ, the
        most similar, so that little is padded; as many as `max_batch` rows and the limit of padded tokens allow.
        """
        limit = min(self._max_tokens, max_tokens) if self._reads else self._max_tokens
        if self._fits(self._waiting, limit):
            batch, self._waiting = self._waiting, []
            return batch
        ranks = self._ranks()
        ordered = sorted(self._waiting, key=lambda w: ranks[w.priority]) if len(ranks) > 1 else self._waiting
        batch = self._similar(ordered, ranks, limit) if self._rulers else ordered[: self._max_batch]
        taken = set(map(id, batch))
        self._waiting = [waiting for waiting in self._waiting if id(waiting) not in taken]
        return batch

    def _ranks(self) -> dict[Priority, int]:
        """How far each priority that is there is from its turn."""
        there = {waiting.priority for waiting in self._waiting}
        first = self._shares.next(there)
        return {priority: 0 if priority is first else priority * FAR for priority in there}

    def _fits(self, batch: Sequence[Waiting], max_tokens: float) -> bool:
        if len(batch) > self._max_batch:
            return False
        return not self._rulers or len(batch) * max(w.length for w in batch) <= max_tokens

    def _similar(
        self, ordered: Sequence[Waiting], ranks: Mapping[Priority, int], max_tokens: float
    ) -> list[Waiting]:
        oldest = ordered[0]
        batch, longest = [oldest], oldest.length
        for waiting in sorted(ordered[1:], key=lambda w: ranks[w.priority] + abs(w.length - oldest.length)):
            if len(batch) == self._max_batch:
                break
            padded = max(longest, waiting.length)
            if (len(batch) + 1) * padded <= max_tokens:
                batch.append(waiting)
                longest = padded
        return batch

    def _length(self, step: Step) -> int:
        """Measure; what cannot be measured is left to the engine to refuse."""
        try:
            return max(
                [self._padded(axis, getattr(step, p)[n].shape[at]) for axis, p, n, at in self._rulers],
                default=1,
            )
        except (KeyError, AttributeError, IndexError):
            return 1

    def _padded(self, axis: str, length: int) -> int:
        multiple = self._pad.get(axis, 1)
        return -(-length // multiple) * multiple


class Queues:
    """A queue for each graph, served in turn."""

    def __init__(self, graphs: Mapping[str, GraphSpec], settings: SchedulerSettings) -> None:
        self._queues = {graph: Queue(spec, settings) for graph, spec in graphs.items()}
        self._turns = list(self._queues)

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def put(self, run: Run, steps: Iterable[Step]) -> None:
        """Add the steps of a run; StepFailed where there is no such graph."""
        for index, step in enumerate(steps):
            if step.graph not in self._queues:
                raise StepFailed(f"there is no graph {step.graph!r}; there are {', '.join(self._queues)}")
            self._queues[step.graph].put(run, index, step)

    def purge(self) -> None:
        """Forget the steps of runs that have ended."""
        for queue in self._queues.values():
            queue.purge()

    def take(
        self, max_tokens: Callable[[str, int], float] = lambda graph, num: float("inf")
    ) -> tuple[str, list[Waiting]]:
        """Take the next batch of the graph whose turn it is; an empty one where nothing waits."""
        for turn, graph in enumerate(self._turns):
            if num := len(self._queues[graph]):
                self._turns = self._turns[turn + 1 :] + self._turns[: turn + 1]
                return graph, self._queues[graph].take(max_tokens(graph, num))
        return "", []


def _rulers(spec: GraphSpec, role: str) -> list[tuple[str, str, str, int]]:
    """Where steps show the lengths of ragged axes: (axis, field of Step, name, axis of that array)."""
    part = "inputs" if role == "input" else "context"
    return [
        (axis, part, tensor.name, at)
        for tensor in spec.inputs
        if tensor.role == role
        for at, axis in enumerate(tensor.axes[1:])
        if isinstance(axis, str)
    ]
