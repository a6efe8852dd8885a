"""What an output may not say: the rules under which its tokens are chosen, whoever chooses."""

from collections.abc import Iterable

import numpy as np

from service.step import Array
from service.tasks.decoding.stops import Stopper

LOWEST = -1e9
"""In place of the log-probability of a forced token that the model does not offer at all."""


class Constraints:
    """The `service.step.Rule` of one output, and that of each hypothesis of a beam.

    Repeated tokens lose weight; then, where a token is forced, all others are taken out, else those that are forbidden.
    """

    def __init__(
        self,
        written: Iterable[int] = (),
        *,
        repetition_penalty: float = 1.0,
        ngram_size: int = 0,
        forced: tuple[int, ...] = (),
        banned: tuple[int, ...] = (),
        stopper: Stopper | None = None,
    ) -> None:
        self._penalty = repetition_penalty
        self._ngram_size = ngram_size
        self._forced = forced
        self._banned = list(banned)
        self.stopper = stopper
        self._ids: list[int] = []
        self._followers: dict[tuple[int, ...], list[int]] = {}
        """n - 1 tokens → what has followed them."""
        self.stopped = False
        for token in written:
            self.took(token)

    def needs_all(self) -> bool:
        repeats = self._penalty != 1 and bool(self._ids)
        return repeats or bool(self._banned or self._repeating()) or len(self._ids) < len(self._forced)

    def adjust(self, log_probs: Array) -> None:
        if self._penalty != 1 and self._ids:
            log_probs[np.unique(self._ids)] *= self._penalty
        if len(self._ids) < len(self._forced):
            token = self._forced[len(self._ids)]
            worth = max(log_probs[token], LOWEST)
            log_probs[:] = -np.inf
            log_probs[token] = worth
            return
        log_probs[self._banned] = -np.inf
        log_probs[self._repeating()] = -np.inf

    def took(self, chosen: int) -> bool:
        if self._ngram_size:
            self._followers.setdefault(self._last(), []).append(chosen)
        self._ids.append(chosen)
        if self.stopper is not None:
            self.stopped = self.stopper.push(chosen)
        return self.stopped

    def _repeating(self) -> list[int]:
        """Tokens that would complete an n-gram for the second time (Paulus et al. 2017, section 2.5)."""
        return self._followers.get(self._last(), []) if self._ngram_size else []

    def _last(self) -> tuple[int, ...]:
        return tuple(self._ids[len(self._ids) - self._ngram_size + 1 :]) if self._ngram_size > 1 else ()
