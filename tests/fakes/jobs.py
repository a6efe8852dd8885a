"""Jobs for a running sum: they read a list, then add numbers one by one, and remember what they were told."""

import threading
from collections.abc import Callable, Sequence

import numpy as np

from service.errors import SeqserveError
from service.scheduler import Mailbox
from service.step import NOTHING, Array, Arrays, Result, Step
from tests.fakes.running_sum import PATIENCE_S


class Adding:
    """Reads `first`, then adds `numbers`, one a step, in `width` rows (row r adds number + r) as a beam would."""

    def __init__(
        self,
        first: Sequence[int],
        numbers: Sequence[int],
        *,
        width: int = 1,
        mailbox: Mailbox[int] | None = None,
        on_advance: Callable[[], None] = lambda: None,
    ) -> None:
        self.sums: list[list[int]] = []
        self.scaled: list[list[int]] = []
        self.error: SeqserveError | None = None
        self.ends = 0
        self.ended = threading.Event()
        self._context: Arrays = NOTHING
        self._first = first
        self._numbers = list(numbers)
        self._width = width
        self._mailbox = mailbox
        self._on_advance = on_advance

    def begin(self) -> Sequence[Step]:
        return [Step("read", {"numbers": np.array(self._first, np.int64)})]

    def advance(self, results: Sequence[Result]) -> Sequence[Step]:
        assert not self.ended.is_set(), "called after its end"
        self._on_advance()
        self._remember(results)
        if not self._numbers:
            self._end()
            return []
        number = self._numbers.pop(0)
        if len(results) == 1:
            results = list(results) * self._width
            self._context = results[0].context or self._context
        return [
            Step("step", {"number": _number(number + row)}, result.state, self._context)
            for row, result in enumerate(results)
        ]

    def fail(self, error: SeqserveError) -> None:
        self.error = error
        if self._mailbox:
            self._mailbox.fail(error)
        self._end(close=False)

    def wait(self) -> "Adding":
        assert self.ended.wait(PATIENCE_S), "the job never ended"
        return self

    def _remember(self, results: Sequence[Result]) -> None:
        self.sums.append([int(result.outputs["total"]) for result in results])
        if "scaled" in results[0].outputs:
            self.scaled.append([int(result.outputs["scaled"]) for result in results])
        if self._mailbox:
            self._mailbox.put(self.sums[-1][0])

    def _end(self, *, close: bool = True) -> None:
        self.ends += 1
        if self._mailbox and close:
            self._mailbox.close()
        self.ended.set()


def alone(first: Sequence[int], numbers: Sequence[int], width: int = 1) -> list[list[int]]:
    """What the job's sums are, computed by hand."""
    sums = [[sum(first)]]
    for number in numbers:
        before = sums[-1] if len(sums[-1]) == width else sums[-1] * width
        sums.append([total + number + row for row, total in enumerate(before)])
    return sums


def _number(value: int) -> Array:
    return np.array(value, np.int64)
