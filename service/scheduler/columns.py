"""What is known of those who sit on a bench, by slot, and how all of them choose at once."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from service.scheduler.drawing import best_of, drawn_from_all, drawn_from_best, uniforms
from service.step import Array, Rollout, Rule

FACTS = np.dtype(
    [
        ("last", np.int64),  # what was chosen last
        ("score", np.float32),  # its log-probability
        ("left", np.int64),  # steps that may still come
        ("must", np.int64),  # steps in which it may not stop yet
        ("stop", np.int64),
        ("width", np.int64),  # of the best choices it needs so many
        ("draws", np.bool_),
        ("topk", np.int64),
        ("topp", np.float64),
        ("temperature", np.float64),
        ("seed", np.uint64),
        ("place", np.int64),  # of the next draw
    ]
)


class Entry(NamedTuple):
    """What is to be known of one who joins."""

    facts: Array
    """One record of FACTS, before the first step."""
    rule: Rule | None
    from_all: bool
    """Draws from all, with no rule needed."""

    @classmethod
    def of(cls, rollout: Rollout) -> Self:
        """Raises where the rollout holds what is no number."""
        drawing = rollout.drawing
        facts = np.zeros((), FACTS)
        facts["last"], facts["stop"] = rollout.first, rollout.stop
        facts["left"], facts["must"] = rollout.max_steps, rollout.min_steps
        facts["width"], facts["temperature"], facts["topp"] = max(1, rollout.num_told), 1.0, 1.0
        if drawing is not None:
            best = 1 if rollout.draws_from_all else drawing.topk
            facts["draws"], facts["width"] = True, max(best, rollout.num_told)
            facts["topk"], facts["topp"] = drawing.topk, drawing.topp
            facts["temperature"] = drawing.temperature
            facts["seed"], facts["place"] = drawing.seed, drawing.place
        return cls(facts, rollout.rule, rollout.draws_from_all)


class Columns:
    """The entries of all who sit, kept as they go on."""

    __slots__ = ("_draws", "_entries", "_facts", "_from_all", "_rules")

    def __init__(self, facts: Array, entries: Sequence[Entry]) -> None:
        self._facts = facts
        self._entries = entries
        """Of each slot; the facts in them are those of the beginning."""
        self._rules = [(slot, entry.rule) for slot, entry in enumerate(entries) if entry.rule is not None]
        self._from_all = [slot for slot, entry in enumerate(entries) if entry.from_all]
        self._draws = bool(facts["draws"].any())

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Self:
        """Before their first steps."""
        return cls(np.array([entry.facts for entry in entries], FACTS), entries)

    def reseated(self, order: Sequence[int], joining: Sequence[Entry]) -> Self:
        """In another order; -1 - i is the i-th who joins."""
        num = len(self._facts)
        both = np.concatenate([self._facts, np.array([entry.facts for entry in joining], FACTS)])
        rows = np.array([row if row >= 0 else num - 1 - row for row in order], np.int64)
        entries = [self._entries[row] if row >= 0 else joining[-1 - row] for row in order]
        return type(self)(both[rows], entries)

    @property
    def last(self) -> Array:
        """What was chosen last, `[batch]`."""
        return np.ascontiguousarray(self._facts["last"])

    @property
    def scores(self) -> Array:
        """Its log-probability, `[batch]`."""
        return self._facts["score"]

    def width(self) -> int:
        """How many of the best choices are needed: where one may not stop yet, the next stands in for the stop."""
        facts = self._facts
        return int((facts["width"] + (facts["must"] > 0)).max(initial=1))

    def from_all(self) -> list[int]:
        """The slots that need the log-probabilities of all ids in the step that comes."""
        if not self._rules and not self._from_all:
            return []
        return sorted({slot for slot, rule in self._rules if rule.needs_all()}.union(self._from_all))

    def choose(
        self, choices: Array, scores: Array, everything: Array | None, from_all: Sequence[int]
    ) -> tuple[Array, Array]:
        """Choose among the best, `[batch, width]`, or, in some slots, among all, `[len(from_all), all]`.

        Returns who has come to the end, and of these who did not choose the stop and is not to be told of either.
        """
        facts = self._facts
        last, score = self._best(choices, scores)
        if self._draws:
            self._draw(choices, scores, last, score)
        if everything is not None:
            last[from_all], score[from_all] = self._among_all(everything, np.array(from_all, np.int64))
        facts["last"], facts["score"] = last, score
        facts["left"] -= 1
        facts["must"] -= 1
        facts["place"] += 1
        quiet = last == facts["stop"]
        for slot, rule in self._rules:
            quiet[slot] |= rule.took(int(last[slot]))
        return quiet, quiet | (facts["left"] <= 0)

    def _best(self, choices: Array, scores: Array) -> tuple[Array, Array]:
        facts, last, score = self._facts, choices[:, 0], scores[:, 0]
        if choices.shape[1] > 1:
            stays = (last == facts["stop"]) & (facts["must"] > 0)
            return np.where(stays, choices[:, 1], last), np.where(stays, scores[:, 1], score)
        return last.copy(), score.copy()

    def _draw(self, choices: Array, scores: Array, last: Array, score: Array) -> None:
        """Draw in the slots that do, from the best of them."""
        draws = self._facts["draws"] & (self._facts["topk"] > 0)
        draws[self._from_all] = False
        slots = np.flatnonzero(draws)
        facts, ids, found = self._facts[slots], choices[slots], scores[slots]
        may_not = (ids == facts["stop"][:, None]) & (facts["must"] > 0)[:, None]
        uniform = uniforms(facts["seed"], facts["place"])
        which = drawn_from_best(
            np.where(may_not, -np.inf, found), facts["topk"], facts["topp"], facts["temperature"], uniform
        )
        rows = np.arange(len(slots))
        last[slots], score[slots] = ids[rows, which], found[rows, which]

    def _among_all(self, everything: Array, slots: Array) -> tuple[Array, Array]:
        """Choose in these slots, whose log-probabilities of all ids are given, `[slots, all]`."""
        facts, rows = self._facts[slots], everything.copy()
        rules = dict(self._rules)
        for row, slot in zip(rows, slots.tolist(), strict=True):
            if (rule := rules.get(slot)) is not None and rule.needs_all():
                rule.adjust(row)
        _settle_stops(rows, facts)
        chosen = rows.argmax(axis=1)
        if self._draws:
            of_best = np.flatnonzero(facts["draws"] & (facts["topk"] > 0))
            of_all = np.flatnonzero(facts["draws"] & (facts["topk"] == 0))
            chosen[of_best] = _drawn_from_best_of(rows[of_best], facts[of_best])
            chosen[of_all] = _drawn_from_all(rows[of_all], facts[of_all])
        return chosen, everything[np.arange(len(rows)), chosen]


def _settle_stops(log_probs: Array, facts: Array) -> None:
    """Let nobody stop who may not, but who can choose nothing else."""
    has_stop = (facts["stop"] >= 0) & (facts["stop"] < log_probs.shape[1])
    may_not = np.flatnonzero(has_stop & (facts["must"] > 0))
    log_probs[may_not, facts["stop"][may_not]] = -np.inf
    stuck = np.flatnonzero(has_stop & ~(log_probs > -np.inf).any(axis=1))
    log_probs[stuck, facts["stop"][stuck]] = 0.0


def _drawn_from_best_of(log_probs: Array, facts: Array) -> Array:
    """Draw from the best of each row as `_draw` does."""
    if not len(facts):
        return np.zeros(0, np.int64)
    best: Array = np.zeros((len(facts), int(facts["topk"].max())), np.int64)
    found: Array = np.full(best.shape, -np.inf, log_probs.dtype)
    for row, topk, ids, theirs in zip(log_probs, facts["topk"].tolist(), best, found, strict=True):
        some = best_of(row, topk)
        ids[: len(some)], theirs[: len(some)] = some, row[some]
    uniform = uniforms(facts["seed"], facts["place"])
    which = drawn_from_best(found, facts["topk"], facts["topp"], facts["temperature"], uniform)
    drawn: Array = best[np.arange(len(best)), which]
    return drawn


def _drawn_from_all(log_probs: Array, facts: Array) -> Array:
    if not len(facts):
        return np.zeros(0, np.int64)
    uniform = uniforms(facts["seed"], facts["place"])
    return drawn_from_all(log_probs, facts["topp"], facts["temperature"], uniform)
