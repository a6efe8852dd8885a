"""The most probable token at every step."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from service.bundle.tokenizer import BOS, EOS
from service.sessions.plain import Plain, under, within
from service.step import Array, Arrays, Result, Step
from service.tasks.decoding.hypothesis import (
    Finish,
    Found,
    ScoredToken,
    all_from_plain,
    all_to_plain,
    normalized,
    tokens_from_plain,
    tokens_to_plain,
)
from service.tasks.decoding.options import DecodingOptions

FIRST_TOKEN = np.array(BOS, dtype=np.int64)
_BEST = np.array(1, dtype=np.int64)
_BEST_TWO = np.array(2, dtype=np.int64)
"""Where the sentence may not end yet, the second best stands in for its end."""


class GreedySearch:
    """Chooses the best token, tells it, goes on. It runs for each token on the scheduler's thread: it does little.

    Where it stands is one tuple, replaced in one go, and tokens are only ever added: any thread may look at any time.
    """

    __slots__ = ("_at", "_context", "_options", "_tokens", "found")

    def __init__(self, state: Arrays, context: Arrays, options: DecodingOptions) -> None:
        self._context = context
        self._options = options
        self._tokens: list[ScoredToken] = []
        self._at: tuple[Arrays, Array, float, int] = (state, FIRST_TOKEN, 0.0, 0)
        """State, the token chosen last, the sum of log-probabilities, tokens written."""
        self.found: list[Found] | None = None

    def steps(self) -> Sequence[Step]:
        state, chosen, _, position = self._at
        width = _BEST if position >= self._options.min_length else _BEST_TWO
        return (Step("step", {"token": chosen, "k": width}, state, self._context),)

    def advance(self, results: Sequence[Result]) -> Sequence[ScoredToken]:
        state, _, total, position = self._at
        outputs = results[0].outputs
        top = outputs["top_tokens"]
        rank = 0 if top[0] != EOS or position >= self._options.min_length else 1
        chosen = top[rank, ...]
        token = ScoredToken(int(chosen), float(outputs["top_log_probs"][rank]))
        total += token.log_prob
        if token.id == EOS:
            self._end(total, position + 1, Finish.END)
            return ()
        self._tokens.append(token)
        if position + 1 == self._options.max_length:
            self._end(total, position + 1, Finish.LENGTH)
        # Last, so that whoever sees that the output is whole also sees what was found.
        self._at = ({**state, **results[0].state}, chosen, total, position + 1)
        return (token,)

    def _end(self, total: float, num_steps: int, finish: Finish) -> None:
        score = normalized(total, num_steps, self._options.length_penalty)
        self.found = [Found(tuple(self._tokens), score, finish)]

    def written(self) -> Sequence[ScoredToken]:
        return self._tokens[: self._at[3]]

    def checkpoint(self) -> Self:
        copy = type(self)({}, self._context, self._options)
        copy._at = self._at
        copy._tokens = self._tokens[: copy._at[3]]
        copy.found = self.found
        return copy

    def to_plain(self) -> Plain:
        state, chosen, total, position = self._at
        arrays = {
            **under("state", state),
            **under("context", self._context),
            **tokens_to_plain("written", self._tokens[:position]),
            "chosen": chosen,
            "total": np.array(total, np.float64),
        }
        return Plain({"kind": "greedy", "found": len(self.found or ())}, arrays | all_to_plain(self.found))

    @classmethod
    def from_plain(cls, plain: Plain, options: DecodingOptions) -> Self:
        arrays = plain.arrays
        search = cls({}, within("context", arrays), options)
        search._tokens = list(tokens_from_plain("written", arrays))
        state, total = within("state", arrays), float(arrays["total"])
        search._at = (state, arrays["chosen"], total, len(search._tokens))
        search.found = all_from_plain(plain)
        return search
