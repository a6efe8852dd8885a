"""The log of a session's last turns, from which a request that comes again is answered without being run again."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from service.config import SessionSettings
from service.errors import OutOfRange, TurnConflict
from service.sessions.snapshot import Written

if TYPE_CHECKING:
    from service.sessions.session import Standing


@dataclass(slots=True)
class Turn:
    """A turn that was done. Its standing is dropped before its answer, as it may be much larger."""

    number: int
    digest: str
    """Of what was asked for: a request with another one is another request."""
    answer: str
    """JSON, as the task wrote it."""
    num_outputs: int
    """Outputs emitted by it."""
    standing: "Standing | None"
    """Where the session stood after it, while it can be gone back to."""
    written: Written | None = None
    """Itself without its standing, as it goes into one snapshot after the other; None before the first."""


class TurnLog:
    """Exactly once: the next turn is to be run, one of the last is answered again, any other is refused.

    Bounded: `kept_answers` turns with at most `kept_outputs` outputs in all (the newest turn is always there), and the
    standings of the newest `kept_turns` of them.
    """

    __slots__ = ("_bounds", "_num_outputs", "_turns", "answer_bytes", "next_turn")

    def __init__(self, bounds: SessionSettings | None = None) -> None:
        self._bounds = bounds or SessionSettings()
        self._turns: deque[Turn] = deque()
        self._num_outputs = 0
        self.answer_bytes = 0
        """Of the answers that are kept, in characters: JSON in ASCII."""
        self.next_turn = 0

    @classmethod
    def of(cls, bounds: SessionSettings, next_turn: int, turns: Iterable[Turn]) -> Self:
        """The log that holds these turns, whose numbers end before `next_turn`."""
        log = cls(bounds)
        for turn in turns:
            log._append(turn)
        log.next_turn = next_turn
        return log

    def __len__(self) -> int:
        return len(self._turns)

    def __iter__(self) -> Iterator[Turn]:
        """The turns that are kept, oldest first."""
        return iter(self._turns)

    def find(self, number: int | None, digest: str) -> Turn | None:
        """The turn that was done already; None where it is the next, which is also meant where no number is given.

        TurnConflict when another request had that number; OutOfRange when it is not the next or no longer known.
        """
        if number is None or number == self.next_turn:
            return None
        turn = self._turn(number)
        if turn is None:
            raise OutOfRange(
                f"turn {number} is not known here; the next one is {self.next_turn}, and the answers of the last "
                f"{len(self._turns)} are kept",
                field="turn",
                next_turn=self.next_turn,
            )
        if turn.digest != digest:
            raise TurnConflict(
                f"turn {number} was another request; the next one is {self.next_turn}",
                next_turn=self.next_turn,
            )
        return turn

    def add(self, digest: str, answer: str, standing: "Standing", num_outputs: int = 0) -> Turn:
        """The next turn has been done."""
        turn = Turn(self.next_turn, digest, answer, num_outputs, standing)
        self._append(turn)
        self.next_turn += 1
        return turn

    def standing_after(self, number: int) -> "Standing":
        """Where the session stood after a turn; OutOfRange when that is no longer kept."""
        turn = self._turn(number)
        if turn is None or turn.standing is None:
            kept = [turn.number for turn in self._turns if turn.standing is not None]
            raise OutOfRange(
                f"where the session stood after turn {number} is not known here; turns that can be gone back to: "
                f"{', '.join(map(str, kept)) or 'none'}, and -1, the beginning",
                field="rewind.after_turn",
                next_turn=self.next_turn,
            )
        return turn.standing

    def copy(self) -> Self:
        """A log that goes on by itself; what is in it is shared."""
        turns = (replace(t) for t in self._turns)
        return type(self).of(self._bounds, self.next_turn, turns)

    def _turn(self, number: int) -> Turn | None:
        oldest = self._turns[0].number if self._turns else self.next_turn
        return self._turns[number - oldest] if oldest <= number < self.next_turn else None

    def _append(self, turn: Turn) -> None:
        turns, bounds = self._turns, self._bounds
        turns.append(turn)
        self._num_outputs += turn.num_outputs
        self.answer_bytes += len(turn.answer)
        if len(turns) > bounds.kept_turns:
            turns[-bounds.kept_turns - 1].standing = None
        while len(turns) > 1 and (
            len(turns) > bounds.kept_answers or self._num_outputs > bounds.kept_outputs
        ):
            forgotten = turns.popleft()
            self._num_outputs -= forgotten.num_outputs
            self.answer_bytes -= len(forgotten.answer)
