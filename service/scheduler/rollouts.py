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
from service.priority import Priority
from service.scheduler.columns import Columns, Entry
from service.scheduler.mailbox import Post
from service.scheduler.run import Run
from service.scheduler.shares import Shares
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
    entry: Entry
    """What `Columns` keeps of it."""
    ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    outputs: list[Arrays] = field(default_factory=list)

    @classmethod
    def of(cls, run: Run, rollout: Rollout) -> Self:
        """Raises where the rollout holds what is no number or no array."""
        length = max((array.shape[0] for array in rollout.context.values() if array.ndim), default=1)
        return cls(run, rollout, length, Entry.of(rollout))

    @property
    def kind(self) -> tuple[Wiring, Priority]:
        """Who sits on one bench has the same."""
        return self.rollout.wiring, self.run.priority

    @property
    def wants_outputs(self) -> bool:
        """Whether it is told more than what was chosen."""
        return self.rollout.num_told > 0 or bool(self.rollout.tells)

    def first_step(self) -> Step:
        wiring, rollout = self.rollout.wiring, self.rollout
        inputs = _inputs(wiring, rollout.first, 1)
        return Step(wiring.graph, inputs, rollout.state, rollout.context, rollout.wanted)


class Bench:
    """The members that run in one batch, each in a slot; all of one priority."""

    def __init__(self, wiring: Wiring, priority: Priority, resident: Resident) -> None:
        self.wiring = wiring
        self.priority = priority
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

    @property
    def kind(self) -> tuple[Wiring, Priority]:
        return self.wiring, self.priority

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
        wiring, from_all = self.wiring, self._columns.from_all()
        width = wiring.width(self._columns.width(), needs_all=bool(from_all))
        blamed: list[tuple[Run, Outcome]] = []
        try:
            outputs, states = self._resident.run({wiring.chosen: self._columns.last}, {wiring.size: width})
        except Exception as error:
            outputs, blamed = self._apart(width, run_steps, error)
            if not self.members:
                return blamed
            states, from_all = self._resident.states, self._columns.from_all()
        everything = all_log_probs(wiring, outputs, from_all) if from_all else None
        quiet, ended = self._columns.choose(
            outputs[wiring.choices], outputs[wiring.scores], everything, from_all
        )
        self._tell(post, self._told(outputs), states, set(np.flatnonzero(quiet).tolist()))
        self._leaving = np.flatnonzero(ended).tolist()
        return blamed + [self._rolled(slot, states) for slot in self._leaving]

    def _tell(self, post: Post, told: Arrays | None, states: Arrays, quiet: set[int]) -> None:
        """Let the members know what was chosen, and the sinks of those that are not quiet."""
        ids, log_probs = self._columns.last.tolist(), self._columns.scores.tolist()
        for slot, (member, chosen, log_prob) in enumerate(zip(self.members, ids, log_probs, strict=True)):
            member.ids.append(chosen)
            member.log_probs.append(log_prob)
            if told is not None and member.wants_outputs:
                member.outputs.append(Row(told, slot).taken())
        for loop, sinks in self._sinks:
            post.send(loop, _tell, (sinks, ids, log_probs, states, quiet, told))

    def _told(self, outputs: Arrays) -> Arrays | None:
        """What is told beside the choices, `[batch, …]` each; None where nobody wants anything."""
        wanting = [member.rollout for member in self.members if member.wants_outputs]
        if not wanting:
            return None
        wiring, num = self.wiring, max(rollout.num_told for rollout in wanting)
        best = {name: outputs[name][:, :num] for name in (wiring.choices, wiring.scores)} if num else {}
        return {**best, **{name: outputs[name] for rollout in wanting for name in rollout.tells}}

    def _rolled(self, slot: int, states: Arrays) -> tuple[Run, Outcome]:
        member = self.members[slot]
        return member.run, Rolled(member.ids, member.log_probs, Row(states, slot), member.outputs)

    def _seat(self, order: Sequence[int], joining: Sequence[Member]) -> None:
        self._columns = self._columns.reseated(order, [member.entry for member in joining])
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
        names = good[0][2].outputs if good else ()
        return {name: stacked([result.outputs[name] for _, _, result in good]) for name in names}, blamed


class Rollouts:
    """All rollouts of one model, on benches of at most `max_batch` members and `max_context_tokens` each."""

    def __init__(self, engine: Engine, settings: SchedulerSettings) -> None:
        self._engine = engine
        self._max_rows = settings.max_batch
        self._max_tokens = settings.max_context_tokens
        self._waiting: list[Member] = []
        self._benches: list[Bench] = []
        self._checked: set[Wiring] = set()
        self._shares = Shares()

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
        if rollout.needs_all and not rollout.wiring.num_choices:
            raise StepFailed(f"it is not known how many choices graph {rollout.wiring.graph} has")
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
        """The bench whose turn it is, settled; None where nobody sits. Benches of one priority take turns."""
        taken = [bench for bench in self._benches if len(bench)]
        if not taken:
            return None
        first = self._shares.next({bench.priority for bench in taken})
        bench = next(bench for bench in taken if bench.priority is first)
        self._benches.remove(bench)
        self._benches.append(bench)
        bench.settle()
        return bench

    def outrank(self, priority: Priority) -> bool:
        """Whether somebody sits whose priority is higher."""
        return any(bench.priority < priority for bench in self._benches if len(bench))

    def _group(self, waiting: Sequence[Member]) -> tuple[Bench, list[Member]]:
        """The bench for the first of those who wait, and who follows onto it."""
        kind = waiting[0].kind
        bench = next((b for b in self._benches if b.kind == kind and self._fits(b, waiting[:1])), None)
        if bench is None:
            bench = Bench(*kind, self._engine.resident(kind[0].graph))
            self._benches.append(bench)
        group = [waiting[0]]
        for member in waiting[1:]:
            if member.kind != kind or not self._fits(bench, [*group, member]):
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
    for name in (wiring.chosen, wiring.size, wiring.choices, wiring.scores, wiring.everything):
        if name and name not in names:
            raise StepFailed(f"graph {wiring.graph} has no {name!r}; it has {', '.join(sorted(names))}")


def _inputs(wiring: Wiring, chosen: int, width: int) -> Arrays:
    return {wiring.chosen: np.array(chosen, np.int64), wiring.size: np.array(width, np.int64)}


def all_log_probs(wiring: Wiring, outputs: Arrays, slots: Sequence[int]) -> Array:
    """The log-probabilities of all ids in these slots, `[slots, num_choices]`."""
    if wiring.everything:
        return outputs[wiring.everything][list(slots)]
    choices, scores = outputs[wiring.choices][list(slots)], outputs[wiring.scores][list(slots)]
    log_probs: Array = np.full((len(slots), wiring.num_choices), -np.inf, np.float32)
    np.put_along_axis(log_probs, choices, scores, axis=1)
    return log_probs


def stacked(arrays: Sequence[Array]) -> Array:
    """Arrays of rows as `[batch, …]`; what is shorter than the longest is filled up with zeros."""
    longest = np.max([array.shape for array in arrays], axis=0)
    new: Array = np.zeros((len(arrays), *longest), arrays[0].dtype)
    for row, array in zip(new, arrays, strict=True):
        row[tuple(map(slice, array.shape))] = array
    return new


Column = tuple[list[tuple[int, Any]], list[int], list[float], Arrays, set[int], Arrays | None]


def _tell(column: Column) -> None:
    """On the event loop: what one step chose, to each sink."""
    sinks, ids, log_probs, states, quiet, told = column
    for slot, sink in sinks:
        if slot not in quiet:
            outputs = None if told is None else Row(told, slot)
            sink.take(Chosen(ids[slot], log_probs[slot], Row(states, slot), outputs))
