"""Beam search: several hypotheses side by side, each a row of its own in the batch.

Each cycle, every live hypothesis offers its best continuations; of all these the best `room` are kept, and one that
ends the sentence is finished and gives up its place, so `room` = beam_size − finished. The search is over when

- no live hypothesis is left (at the latest at max_length, where what lives is finished with LENGTH), or
- num_hypotheses have finished and no live one can beat the worst of the best num_hypotheses: log-probabilities only
  fall, so a live one never scores more than its sum so far under the penalty of the longest output.

Equal candidates keep the order of their parents, then the engine's. With a beam of 1 this is greedy search, and with
one as large as the number of all outputs it finds the best of them (tests prove both).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from service.bundle.tokenizer import BOS, EOS
from service.errors import StepFailed
from service.scheduler import Mailbox
from service.sessions.plain import Plain, under, within
from service.step import Array, Arrays, Result, Step
from service.tasks.decoding.hypothesis import (
    Finish,
    Found,
    ScoredToken,
    all_from_plain,
    all_to_plain,
    found_from_plain,
    found_to_plain,
    normalized,
    tokens_from_plain,
    tokens_to_plain,
)
from service.tasks.decoding.options import DecodingOptions
from service.tasks.jobs import Program

WANTED = ("top_tokens", "top_log_probs")
FIRST_TOKEN = np.array(BOS, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Live:
    """A hypothesis that has not ended: what it wrote, and the state that goes with it."""

    tokens: tuple[ScoredToken, ...]
    log_prob: float
    last: Array
    state: Arrays

    def then(self, token: ScoredToken, state: Arrays) -> Self:
        """The hypothesis with one more token; the state is shared with its siblings, as it is a value."""
        last = np.array(token.id, dtype=np.int64)
        return type(self)((*self.tokens, token), self.log_prob + token.log_prob, last, state)

    def to_plain(self, prefix: str) -> Arrays:
        return {
            **tokens_to_plain(prefix, self.tokens),
            **under(f"{prefix}/state", self.state),
            f"{prefix}/log_prob": np.array(self.log_prob, np.float64),
            f"{prefix}/last": self.last,
        }

    @classmethod
    def from_plain(cls, prefix: str, arrays: Arrays) -> Self:
        tokens, state = tokens_from_plain(prefix, arrays), within(f"{prefix}/state", arrays)
        return cls(tokens, float(arrays[f"{prefix}/log_prob"]), arrays[f"{prefix}/last"], state)


@dataclass(frozen=True, slots=True)
class _Beam:
    """Where a search stands, a value: what has finished, what is worth going on with, after so many steps."""

    live: tuple[Live, ...]
    finished: tuple[Found, ...] = ()
    num_steps: int = 0


class BeamSearch:
    """The best `num_hypotheses` outputs that the beam finds, best first; tokens are told when it has ended."""

    __slots__ = ("_at", "_context", "_options", "_width", "found")

    def __init__(self, state: Arrays, context: Arrays, options: DecodingOptions) -> None:
        self._context = context
        self._options = options
        # One more than the beam: where the sentence may not end yet, its end is skipped.
        self._width: Array = np.array(options.beam_size + 1, dtype=np.int64)
        self._at = _Beam((Live((), 0.0, FIRST_TOKEN, state),))
        self.found: list[Found] | None = None

    def program(self, sink: Mailbox[Any] | None) -> Program[list[Found]]:
        while self.found is None:
            tokens = self.advance((yield self.steps()))
            if sink is not None:
                for token in tokens:
                    sink.put(token)
        return self.found

    def follow(self, items: Sequence[ScoredToken]) -> None:
        """Nothing: it knows by itself, as it is one value that its program replaces in one go."""

    def steps(self) -> Sequence[Step]:
        return [
            Step("step", {"token": live.last, "k": self._width}, live.state, self._context, WANTED)
            for live in self._at.live
        ]

    def advance(self, results: Sequence[Result]) -> Sequence[ScoredToken]:
        growing = _Growing(self._options, self._at)
        grown = growing.grow(results)
        if not grown.live:
            self.found = growing.best()
        # Last, so that whoever sees that nothing lives also sees what was found.
        self._at = grown
        return self.found[0].tokens if self.found else ()

    def written(self) -> Sequence[ScoredToken]:
        return ()

    def checkpoint(self) -> Self:
        copy = type(self)({}, self._context, self._options)
        copy._at = self._at
        copy.found = self.found
        return copy

    def to_plain(self) -> Plain:
        at = self._at
        arrays = dict(under("context", self._context))
        for index, live in enumerate(at.live):
            arrays |= live.to_plain(f"live/{index}")
        for index, found in enumerate(at.finished):
            arrays |= found_to_plain(f"finished/{index}", found)
        facts = {
            "kind": "beam",
            "num_steps": at.num_steps,
            "live": len(at.live),
            "finished": len(at.finished),
            "found": len(self.found or ()),
        }
        return Plain(facts, arrays | all_to_plain(self.found))

    @classmethod
    def from_plain(cls, plain: Plain, options: DecodingOptions) -> Self:
        arrays, facts = plain.arrays, plain.facts
        search = cls({}, within("context", arrays), options)
        live = tuple(Live.from_plain(f"live/{index}", arrays) for index in range(facts["live"]))
        finished = (found_from_plain(f"finished/{index}", arrays) for index in range(facts["finished"]))
        search._at = _Beam(live, tuple(finished), facts["num_steps"])
        search.found = all_from_plain(plain)
        return search


class _Growing:
    """One more token for each hypothesis: what finishes, and which continuations are worth going on with."""

    def __init__(self, options: DecodingOptions, beam: _Beam) -> None:
        self._options = options
        self._live = beam.live
        self._finished = list(beam.finished)
        self._num_steps = beam.num_steps

    def grow(self, results: Sequence[Result]) -> _Beam:
        """The beam after one more token; nothing lives when the search is over."""
        may_end = self._num_steps >= self._options.min_length
        self._num_steps += 1
        live, grown = self._live, []
        for parent, token in _best(live, results, self._room(), may_end):
            if token.id == EOS:
                self._finish(live[parent].tokens, live[parent].log_prob + token.log_prob, Finish.END)
            else:
                grown.append(live[parent].then(token, {**live[parent].state, **results[parent].state}))
        if not grown and not self._finished:
            raise StepFailed("the model gave no usable probabilities")
        worth_it = self._worth_going_on(grown)
        return _Beam(tuple(worth_it), tuple(self._finished), self._num_steps)

    def best(self) -> list[Found]:
        """The best outputs; equal ones in the order in which they finished."""
        ranked = sorted(self._finished, key=lambda found: -found.score)
        return ranked[: self._options.num_hypotheses]

    def _room(self) -> int:
        return self._options.beam_size - len(self._finished)

    def _worth_going_on(self, grown: list[Live]) -> list[Live]:
        if self._num_steps == self._options.max_length:
            for hypothesis in grown:
                self._finish(hypothesis.tokens, hypothesis.log_prob, Finish.LENGTH)
            return []
        return [] if self._is_decided(grown) else grown

    def _is_decided(self, grown: Sequence[Live]) -> bool:
        if not grown or len(self._finished) < self._options.num_hypotheses:
            return False
        hope = max(hypothesis.log_prob for hypothesis in grown)
        best_case = normalized(hope, self._options.max_length, self._options.length_penalty)
        return best_case <= self.best()[-1].score

    def _finish(self, tokens: tuple[ScoredToken, ...], log_prob: float, finish: Finish) -> None:
        score = normalized(log_prob, self._num_steps, self._options.length_penalty)
        self._finished.append(Found(tokens, score, finish))


def _best(
    live: Sequence[Live], results: Sequence[Result], room: int, may_end: bool
) -> list[tuple[int, ScoredToken]]:
    """The best continuations as (index of the parent, token), best first."""
    tokens = np.concatenate([result.outputs["top_tokens"] for result in results])
    log_probs = np.concatenate([result.outputs["top_log_probs"] for result in results]).astype(np.float64)
    parents = np.repeat(np.arange(len(live)), [len(result.outputs["top_tokens"]) for result in results])
    totals = np.array([hypothesis.log_prob for hypothesis in live])[parents] + log_probs
    if not may_end:
        totals[tokens == EOS] = -np.inf
    order = np.argsort(-totals, kind="stable")[:room]
    return [
        (int(parents[i]), ScoredToken(int(tokens[i]), float(log_probs[i])))
        for i in order
        if totals[i] > -np.inf
    ]
