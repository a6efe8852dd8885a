"""Sequences that write themselves, side by side: each step is one run for all of them, and Python sees columns.

who comes ─▶ waiting ─▶ bench: slots 0 1 2 … ─ run ─▶ choose ─▶ tell the sinks, once for each event loop
                             └──────── who has ended leaves ◀──┘
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from service.config import SchedulerSettings
from service.engine import Engine, Resident
from service.errors import SeqserveError, StepFailed
from service.scheduler.mailbox import Post
from service.scheduler.run import Run
from service.step import Array, Arrays, Chosen, Result, Rolled, Rollout, Row, Step, Wiring

Outcome = Rolled | SeqserveError
RunSteps = Callable[[str, Sequence[Step], Exception], list[Result | SeqserveError]]
"""Runs, in parts, the steps of a graph that could not be run together, and says why that was."""


@dataclass(slots=True, eq=False)
class Member:
    """A run whose rollout is under way."""

    run: Run
    rollout: Rollout
    length: int
    """Of its context."""
    facts: Array
    """What `Columns` keeps of it."""
    ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, run: Run, rollout: Rollout) -> Self:
        """Raises where the rollout holds what is no number or no array."""
        length = max((array.shape[0] for array in rollout.context.values() if array.ndim), default=1)
        facts = (rollout.first, rollout.max_steps, rollout.min_steps, rollout.stop)
        return cls(run, rollout, length, np.array(facts, np.int64))

    def first_step(self) -> Step:
        wiring, rollout = self.rollout.wiring, self.rollout
        inputs = _inputs(wiring, rollout.first, 1)
        return Step(wiring.graph, inputs, rollout.state, rollout.context, wiring.wanted)


class Bench:
    """The members that run in one batch, each in a slot."""

    def __init__(self, wiring: Wiring, resident: Resident) -> None:
        self.wiring = wiring
        self.members: list[Member] = []
        self._leaving: list[int] = []
        """Slots of those who have ended, and are still seated."""
        self._joined: list[Run] = []
        """Since the last step."""
        self._wrote_at: float | None = None
        """When the last step was, where somebody is still there from it."""
        self._resident = resident
        self._columns = Columns.of([])
        self._sinks: list[tuple[Any, list[tuple[int, Any]]]] = []
        """Event loop → (slot, sink) of those members whose sinks are there."""

    def __len__(self) -> int:
        return len(self.members) - len(self._leaving)

    def lengths(self) -> list[int]:
        """The lengths of the contexts of those who stay."""
        return [member.length for slot, member in enumerate(self.members) if slot not in self._leaving]

    def settle(self, joining: Sequence[Member] = ()) -> None:
        """Let those go who have ended, and others in; StepFailed, and nothing has changed, where one does not fit."""
        if not self._leaving and not joining:
            return
        order = self._resident.reseat(self._leaving, [member.first_step() for member in joining])
        self._seat(order, joining)
        self._joined += [member.run for member in joining]

    def wrote(self, now: float) -> tuple[list[Run], float | None]:
        """After a step: who has got a first token, and how long ago the others got their last one."""
        joined, self._joined = self._joined, []
        last, self._wrote_at = self._wrote_at, now if len(self) else None
        return joined, None if last is None else now - last

    def purge(self) -> None:
        """Forget the runs that have been ended from outside."""
        gone = {slot for slot, member in enumerate(self.members) if member.run.ended}
        self._leaving = sorted(gone.union(self._leaving))
        self._wrote_at = self._wrote_at if len(self) else None

    def run(self, post: Post, run_steps: RunSteps) -> list[tuple[Run, Outcome]]:
        """One step for all, who must be settled; tells the sinks, and returns those whose rollouts are over."""
        wiring, width = self.wiring, self._columns.width()
        blamed: list[tuple[Run, Outcome]] = []
        try:
            outputs, states = self._resident.run({wiring.chosen: self._columns.last}, {wiring.size: width})
        except Exception as error:
            outputs, blamed = self._apart(width, run_steps, error)
            states = self._resident.states
        stopped, ended = self._columns.choose(outputs[wiring.choices], outputs[wiring.scores])
        ids, log_probs = self._columns.last.tolist(), self._columns.scores.tolist()
        for member, chosen, log_prob in zip(self.members, ids, log_probs, strict=True):
            member.ids.append(chosen)
            member.log_probs.append(log_prob)
        quiet = set(np.flatnonzero(stopped).tolist())
        for loop, sinks in self._sinks:
            post.send(loop, _tell, (sinks, ids, log_probs, states, quiet))
        self._leaving = np.flatnonzero(ended).tolist()
        return blamed + [self._rolled(slot, states) for slot in self._leaving]

    def _rolled(self, slot: int, states: Arrays) -> tuple[Run, Outcome]:
        member = self.members[slot]
        return member.run, Rolled(member.ids, member.log_probs, Row(states, slot))

    def _seat(self, order: Sequence[int], joining: Sequence[Member]) -> None:
        self._columns = self._columns.reseated(order, [member.facts for member in joining])
        self.members = [self.members[row] if row >= 0 else joining[-1 - row] for row in order]
        self._leaving = []
        by_loop: dict[Any, list[tuple[int, Any]]] = {}
        for slot, member in enumerate(self.members):
            if (sink := member.rollout.sink) is not None:
                by_loop.setdefault(sink.loop, []).append((slot, sink))
        self._sinks = list(by_loop.items())

    def _apart(
        self, width: int, run_steps: RunSteps, error: Exception
    ) -> tuple[Arrays, list[tuple[Run, Outcome]]]:
        """Run the members' steps one by one: (the outputs of those that could be run, who is to blame).

        Those who can be run are seated anew, where the step has brought them; the others are gone.
        """
        steps = [
            self._resident.step(slot, _inputs(self.wiring, int(last), width))
            for slot, last in enumerate(self._columns.last)
        ]
        outcomes = run_steps(self.wiring.graph, steps, error)
        blamed: list[tuple[Run, Outcome]] = []
        good: list[tuple[int, Step, Result]] = []
        for slot, (step, outcome) in enumerate(zip(steps, outcomes, strict=True)):
            if isinstance(outcome, SeqserveError):
                blamed.append((self.members[slot].run, outcome))
            else:
                state = {**step.state, **outcome.state}
                good.append((slot, replace(step, state=state), outcome))
        self._resident.reseat(range(len(steps)), [step for _, step, _ in good])
        self._seat([slot for slot, _, _ in good], [])
        names = self.wiring.choices, self.wiring.scores
        empty: Array = np.zeros((0, width), np.int64)
        return {
            n: np.stack([result.outputs[n] for _, _, result in good]) if good else empty for n in names
        }, blamed


class Columns:
    """What is known of the members, by slot."""

    __slots__ = ("_left", "_must", "_stop", "last", "scores")

    def __init__(self, last: Array, left: Array, must: Array, stop: Array, scores: Array) -> None:
        self.last = last
        """What was chosen last."""
        self.scores = scores
        """Its log-probability."""
        self._left = left
        """Steps that may still come."""
        self._must = must
        """Steps in which it may not stop yet."""
        self._stop = stop

    @classmethod
    def of(cls, facts: Sequence[Array]) -> Self:
        """Before their first steps: first, most steps, least steps, stop of each."""
        last, left, must, stop = np.array(facts, np.int64).reshape(-1, 4).T.copy()
        return cls(last, left, must, stop, np.zeros(len(facts), np.float32))

    def reseated(self, order: Sequence[int], joining: Sequence[Array]) -> Self:
        """In another order; -1 - i is the i-th who joins."""
        both, num = self.of(joining), len(self.last)
        rows = np.array([row if row >= 0 else num - 1 - row for row in order], np.int64)

        def column(name: str) -> Array:
            return np.concatenate([getattr(self, name), getattr(both, name)])[rows]

        return type(self)(*map(column, ("last", "_left", "_must", "_stop", "scores")))

    def width(self) -> int:
        """How many choices are needed: where one may not stop yet, the second best stands in for the stop."""
        return 2 if (self._must > 0).any() else 1

    def choose(self, choices: Array, scores: Array) -> tuple[Array, Array]:
        """Take the best of `[batch, size]`; returns who chose the stop, and who has ended."""
        last, self.scores = choices[:, 0], scores[:, 0]
        if choices.shape[1] > 1:
            stays = (last == self._stop) & (self._must > 0)
            last = np.where(stays, choices[:, 1], last)
            self.scores = np.where(stays, scores[:, 1], self.scores)
        self.last = np.ascontiguousarray(last)
        self._left, self._must = self._left - 1, self._must - 1
        stopped = self.last == self._stop
        return stopped, stopped | (self._left <= 0)


class Rollouts:
    """All rollouts of one model, on benches of at most `max_batch` members and `max_context_tokens` each."""

    def __init__(self, engine: Engine, settings: SchedulerSettings) -> None:
        self._engine = engine
        self._max_rows = settings.max_batch
        self._max_tokens = settings.max_context_tokens
        self._waiting: list[Member] = []
        self._benches: list[Bench] = []
        self._checked: set[Wiring] = set()

    def __len__(self) -> int:
        return len(self._waiting) + sum(map(len, self._benches))

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def num_seated(self) -> int:
        return sum(map(len, self._benches))

    def join(self, run: Run, rollout: Rollout) -> None:
        """Add a run, which is seated before the next step; raises where nobody could run its rollout."""
        if rollout.wiring not in self._checked:
            _check(self._engine, rollout.wiring)
            self._checked.add(rollout.wiring)
        self._waiting.append(Member.of(run, rollout))

    def purge(self) -> None:
        """Forget the runs that have ended."""
        self._waiting = [member for member in self._waiting if not member.run.ended]
        for bench in self._benches:
            bench.purge()

    def seat(self) -> tuple[list[Run], list[tuple[Run, Outcome]]]:
        """Give those who wait their places on a bench: (who sits now, who cannot)."""
        seated, refused = [member.run for member in self._waiting], []
        while self._waiting:
            bench, group = self._group(self._waiting)
            self._waiting = self._waiting[len(group) :]
            refused += self._join(bench, group)
        self._benches = [bench for bench in self._benches if len(bench)]
        return seated, refused

    def next(self) -> Bench | None:
        """The bench whose turn it is, settled; None where nobody sits."""
        if not self._benches:
            return None
        bench = self._benches.pop(0)
        self._benches.append(bench)
        bench.settle()
        return bench

    def _group(self, waiting: Sequence[Member]) -> tuple[Bench, list[Member]]:
        """The bench for the first of those who wait, and who follows onto it."""
        wiring = waiting[0].rollout.wiring
        bench = next((b for b in self._benches if b.wiring == wiring and self._fits(b, waiting[:1])), None)
        if bench is None:
            bench = Bench(wiring, self._engine.resident(wiring.graph))
            self._benches.append(bench)
        group = [waiting[0]]
        for member in waiting[1:]:
            if member.rollout.wiring != wiring or not self._fits(bench, [*group, member]):
                break
            group.append(member)
        return bench, group

    def _fits(self, bench: Bench, more: Sequence[Member]) -> bool:
        """Whether so many rows fit, and the longest context does not make the others' padding too costly."""
        lengths = bench.lengths() + [member.length for member in more]
        padded = len(lengths) * max(lengths)
        worth_it = padded <= max(MIN_PADDED_TOKENS, 2 * sum(lengths))
        alone = len(lengths) == 1
        return len(lengths) <= self._max_rows and (alone or (worth_it and padded <= self._max_tokens))

    def _join(self, bench: Bench, group: Sequence[Member]) -> list[tuple[Run, Outcome]]:
        """Seat them; where they do not fit together, one by one, so that only who is to blame is refused."""
        try:
            bench.settle(group)
            return []
        except Exception as error:
            if len(group) == 1:
                broke = StepFailed(f"a step of graph {bench.wiring.graph} could not be run")
                return [(group[0].run, error if isinstance(error, SeqserveError) else broke)]
        return [refused for member in group for refused in self._join(bench, [member])]


MIN_PADDED_TOKENS = 2048
"""Padding of contexts up to here is not worth a batch of its own."""


def _check(engine: Engine, wiring: Wiring) -> None:
    """StepFailed where the graph or its tensors are not there, or its rows cannot stay in a batch."""
    engine.resident(wiring.graph)
    spec = engine.manifest.graphs[wiring.graph]
    names = {tensor.name for tensor in (*spec.inputs, *spec.outputs)}
    for name in (wiring.chosen, wiring.size, wiring.choices, wiring.scores):
        if name not in names:
            raise StepFailed(f"graph {wiring.graph} has no {name!r}; it has {', '.join(sorted(names))}")


def _inputs(wiring: Wiring, chosen: int, width: int) -> Arrays:
    return {wiring.chosen: np.array(chosen, np.int64), wiring.size: np.array(width, np.int64)}


def _tell(column: tuple[list[tuple[int, Any]], list[int], list[float], Arrays, Any]) -> None:
    """On the event loop: what one step chose, to each sink."""
    sinks, ids, log_probs, states, quiet = column
    for slot, sink in sinks:
        if slot not in quiet:
            sink.take(Chosen(ids[slot], log_probs[slot], Row(states, slot)))
