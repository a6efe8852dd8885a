"""The most probable token at every step."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from service.bundle.tokenizer import BOS, EOS
from service.scheduler import Mailbox
from service.sessions.plain import Plain, under, within
from service.step import Arrays, Chosen, Rolled, Rollout, Row, Wiring
from service.tasks.decoding.hypothesis import (
    Finish,
    Found,
    ScoredToken,
    normalized,
    tokens_from_plain,
    tokens_to_plain,
)
from service.tasks.decoding.options import DecodingOptions
from service.tasks.jobs import Program

WIRING = Wiring("step", chosen="token", size="k", choices="top_tokens", scores="top_log_probs")
"""Of every graph that writes tokens."""


class GreedySearch:
    """Chooses the best token and goes on: a rollout, whose batch does the choosing for all its members at once.

    What it knows is what has come out of the sink; what was chosen after that is chosen again by who goes on.
    """

    __slots__ = ("_context", "_options", "_state", "_tokens", "_total", "found")

    def __init__(self, state: Arrays, context: Arrays, options: DecodingOptions) -> None:
        self._context = context
        self._options = options
        self._state: Arrays | Row = state
        """After the last token; a row of its batch where it has been told of one."""
        self._tokens: list[ScoredToken] = []
        self._total = 0.0
        """The sum of the log-probabilities."""
        self.found: list[Found] | None = None

    def program(self, sink: Mailbox[Any] | None) -> Program[list[Found]]:
        before, total = tuple(self._tokens), self._total
        if len(before) == self._options.max_length:
            return [self._whole(before, total, Rolled([], [], Row({}, 0)))]
        rolled = yield self._rollout(sink)
        return [self._whole(before, total, rolled)]

    def follow(self, items: Sequence[Chosen]) -> None:
        for item in items:
            self._tokens.append(ScoredToken(item.id, item.log_prob))
            self._total += item.log_prob
        if items:
            self._state = items[-1].state

    def written(self) -> Sequence[ScoredToken]:
        return list(self._tokens)

    def checkpoint(self) -> Self:
        copy = type(self)(self._arrays(), self._context, self._options)
        copy._tokens, copy._total = list(self._tokens), self._total
        copy.found = self.found
        return copy

    def to_plain(self) -> Plain:
        arrays = {
            **under("state", self._arrays()),
            **under("context", self._context),
            **tokens_to_plain("written", self._tokens),
            "total": np.array(self._total, np.float64),
        }
        return Plain({"kind": "greedy"}, arrays)

    @classmethod
    def from_plain(cls, plain: Plain, options: DecodingOptions) -> Self:
        arrays = plain.arrays
        search = cls(within("state", arrays), within("context", arrays), options)
        search._tokens = list(tokens_from_plain("written", arrays))
        search._total = float(arrays["total"])
        return search

    def _arrays(self) -> Arrays:
        return self._state.taken() if isinstance(self._state, Row) else self._state

    def _rollout(self, sink: Mailbox[Any] | None) -> Rollout:
        num, options = len(self._tokens), self._options
        return Rollout(
            WIRING,
            self._tokens[-1].id if num else BOS,
            self._arrays(),
            self._context,
            stop=EOS,
            max_steps=options.max_length - num,
            min_steps=options.min_length - num,
            sink=sink,
        )

    def _whole(self, before: Sequence[ScoredToken], total: float, rolled: Rolled) -> Found:
        for log_prob in rolled.log_probs:  # in the order of the steps, as it was summed up before a resume
            total += log_prob
        has_ended = rolled.ids[-1:] == [EOS]
        chosen = [ScoredToken(*pair) for pair in zip(rolled.ids, rolled.log_probs, strict=True)]
        tokens = (*before, *(chosen[:-1] if has_ended else chosen))
        score = normalized(total, len(before) + len(chosen), self._options.length_penalty)
        return Found(tokens, score, Finish.END if has_ended else Finish.LENGTH)
