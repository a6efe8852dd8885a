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
from typing import Self

import numpy as np

from service.bundle.tokenizer import EOS
from service.errors import StepFailed
from service.step import Array, Arrays, Result, Step
from service.tasks.decoding.greedy import FIRST_TOKEN
from service.tasks.decoding.hypothesis import Finish, Found, ScoredToken, normalized
from service.tasks.decoding.options import DecodingOptions
from service.tasks.jobs import Program


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


def beam_search(state: Arrays, context: Arrays, options: DecodingOptions) -> Program[list[Found]]:
    """The best `num_hypotheses` outputs that the beam found, best first."""
    beam = _Beam(options)
    live = [Live((), 0.0, FIRST_TOKEN, state)]
    while live:
        results = yield [_step(hypothesis, beam.width, context) for hypothesis in live]
        live = beam.grow(live, results)
    return beam.best()


def _step(hypothesis: Live, width: Array, context: Arrays) -> Step:
    return Step("step", {"token": hypothesis.last, "k": width}, hypothesis.state, context)


class _Beam:
    """What has finished, and which continuations are worth going on with."""

    def __init__(self, options: DecodingOptions) -> None:
        self._options = options
        self._finished: list[Found] = []
        self._num_steps = 0
        # One more than the beam: where the sentence may not end yet, its end is skipped.
        self.width: Array = np.array(options.beam_size + 1, dtype=np.int64)

    def grow(self, live: Sequence[Live], results: Sequence[Result]) -> list[Live]:
        """The live hypotheses after one more token; none when the search is over."""
        may_end = self._num_steps >= self._options.min_length
        self._num_steps += 1
        grown: list[Live] = []
        for parent, token in _best(live, results, self._room(), may_end):
            if token.id == EOS:
                self._finish(live[parent].tokens, live[parent].log_prob + token.log_prob, Finish.END)
            else:
                grown.append(live[parent].then(token, {**live[parent].state, **results[parent].state}))
        if not grown and not self._finished:
            raise StepFailed("the model gave no usable probabilities")
        return self._worth_going_on(grown)

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
