"""The hypotheses of a beam that have not ended, and what each offers to go on with."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from service.bundle.tokenizer import EOS
from service.scheduler.drawing import best_of
from service.sessions.plain import under, within
from service.step import Array, Arrays, Result, Step
from service.tasks.decoding.constraints import Constraints
from service.tasks.decoding.hypothesis import Found, ScoredToken, tokens_from_plain, tokens_to_plain
from service.tasks.decoding.options import ATTENTION
from service.tasks.decoding.plan import Plan


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """A hypothesis that has not ended: what it wrote, and the state that goes with it."""

    tokens: tuple[ScoredToken, ...]
    log_prob: float
    """What it is worth so far."""
    last: Array
    state: Arrays
    coverage: Array | None = None
    """What all its steps looked at, `[source]`, where they tell."""

    def then(self, token: ScoredToken, log_prob: float, result: Result) -> "Live":
        """The hypothesis with one more token; the state is shared with its siblings, as it is a value."""
        coverage = self.coverage
        if ATTENTION in result.outputs:
            looked = result.outputs[ATTENTION]
            coverage = looked if coverage is None else coverage + looked
        last = np.array(token.id, dtype=np.int64)
        return Live((*self.tokens, token), log_prob, last, {**self.state, **result.state}, coverage)

    def to_plain(self, prefix: str) -> Arrays:
        return {
            **tokens_to_plain(prefix, self.tokens),
            **under(f"{prefix}/state", self.state),
            **({f"{prefix}/coverage": self.coverage} if self.coverage is not None else {}),
            f"{prefix}/log_prob": np.array(self.log_prob, np.float64),
            f"{prefix}/last": self.last,
        }

    @classmethod
    def from_plain(cls, prefix: str, arrays: Arrays) -> Self:
        tokens, state = tokens_from_plain(prefix, arrays), within(f"{prefix}/state", arrays)
        log_prob, last = float(arrays[f"{prefix}/log_prob"]), arrays[f"{prefix}/last"]
        return cls(tokens, log_prob, last, state, arrays.get(f"{prefix}/coverage"))


def first_live(state: Arrays, first: int) -> Live:
    """The hypothesis that has written nothing."""
    return Live((), 0.0, np.array(first, dtype=np.int64), state)


@dataclass(frozen=True, slots=True)
class Beam:
    """Where a search stands, a value: what has finished, what is worth going on with, after so many steps."""

    live: tuple[Live, ...]
    finished: tuple[Found, ...] = ()
    num_steps: int = 0
    certain: tuple[ScoredToken, ...] = ()
    """Tokens that the best output will begin with, whatever comes."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The next step of one live hypothesis, and what it could be gone on with after it."""

    plan: Plan
    live: Live
    rules: Constraints | None

    @classmethod
    def of(cls, plan: Plan, live: Live) -> Self:
        return cls(plan, live, plan.rules(token.id for token in live.tokens) if plan.has_rules else None)

    @property
    def needs_all(self) -> bool:
        return self.rules is not None and self.rules.needs_all()

    def step(self, context: Arrays, *, needs_all: bool) -> Step:
        """The step; one more than the beam is asked for: where the sentence may not end yet, its end is skipped."""
        wiring = self.plan.wiring
        width = wiring.width(max(self._num, self.plan.num_told), needs_all=needs_all)
        inputs = {wiring.chosen: self.live.last, wiring.size: np.array(width, np.int64)}
        everything = (wiring.everything,) if needs_all and wiring.everything else ()
        wanted = (*wiring.wanted, *self.plan.outputs, *everything)
        return Step(wiring.graph, inputs, self.live.state, context, wanted)

    def best(self, result: Result, *, may_end: bool) -> list[tuple[float, int, float]]:
        """The best continuations, best first: (what it adds to the worth of the hypothesis, token, log-probability)."""
        outputs = result.outputs
        if self.needs_all:
            ids, worths, log_probs = self._among_all(outputs, may_end=may_end)
        else:
            ids, log_probs = (outputs[name] for name in (self.plan.wiring.choices, self.plan.wiring.scores))
            ids, log_probs = ids[: self._num], log_probs[: self._num]
            worths = np.where((ids == EOS) & (not may_end), -np.inf, log_probs.astype(np.float64))
        return [
            each
            for each in zip(worths.tolist(), ids.tolist(), log_probs.tolist(), strict=True)
            if each[0] > -np.inf
        ]

    @property
    def _num(self) -> int:
        return self.plan.options.beam_size + 1

    def _among_all(self, outputs: Arrays, *, may_end: bool) -> tuple[Array, Array, Array]:
        """(ids, what they add, log-probabilities) of the best under the rules; the end where nothing else is left."""
        assert self.rules is not None
        everything = all_log_probs(self.plan, outputs)
        worths = everything.astype(np.float64)
        self.rules.adjust(worths)
        if not may_end:
            worths[EOS] = -np.inf
        if not (worths > -np.inf).any():
            worths[EOS] = everything[EOS]
        ids = best_of(worths, self._num)
        return ids, worths[ids], everything[ids]


def all_log_probs(plan: Plan, outputs: Arrays) -> Array:
    """The log-probabilities of all tokens, `[vocabulary]`, of a step that was asked for them."""
    if plan.wiring.everything:
        return outputs[plan.wiring.everything]
    log_probs: Array = np.full(plan.wiring.num_choices, -np.inf, np.float32)
    log_probs[outputs[plan.wiring.choices]] = outputs[plan.wiring.scores]
    return log_probs
