"""Which turns of a session were sent, answered and written down, and so what has to be sent again after a break.

No wire, no clock: `Replay` is told what was sent and what came, and says what is missing.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from seqserve.v1.session_pb2 import SessionRequest
from service.client.errors import Details, SessionLost

MAX_KEPT_TURNS = 1024
"""Turns kept until the server has written them down."""
MAX_KEPT_BYTES = 8 * 1024 * 1024
NUM_SPARE_TURNS = 32
"""Turns kept although they are written down: a store that lost its last moments gets them again."""

Positions = tuple[int, int]
"""Inputs consumed, outputs emitted."""


@dataclass(slots=True)
class Turn:
    """A request that may change the session, and what has come of it."""

    number: int
    request: SessionRequest
    end: Positions | None = None
    """Where the session stood after it; None while its last answer has not come."""
    seen: int | None = None
    """Outputs of the session once those that have come of this turn are counted in."""

    def message(self) -> SessionRequest:
        """What to send, the first time and again: of what a generate wrote only what has not come yet."""
        message = SessionRequest()
        message.CopyFrom(self.request)
        message.turn = self.number
        seen = self.end[1] if self.end else self.seen
        if message.HasField("generate") and seen is not None:
            message.generate.output_position = seen
        return message


class Replay:
    """The turns of one session, each kept until its answer is durable; one at a time is without its answer.

    A turn whose answer never came, because its time was over or its caller went, stays in doubt: the same request again
    is the same turn, any other gives it up, and the next `opened` tells whether it was done.
    """

    def __init__(self, max_turns: int = MAX_KEPT_TURNS, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self.next_turn = 0
        """The number of the first turn that has no whole answer yet."""
        self.durable_turn = 0
        """Every turn below is in the store."""
        self.durable = False
        """Whether the server writes this session down: what is answered is kept only then."""
        self.numbered = True
        """Whether the server knows turns; an older one does not, and nothing is sent to it twice."""
        self.pending: Turn | None = None
        self._kept: deque[Turn] = deque()
        self._given_up = False
        self._num_bytes = 0
        self._max_turns, self._max_bytes = max_turns, max_bytes

    @property
    def is_full(self) -> bool:
        """Whether no more can be kept before the server has written something down."""
        num_unwritten = self.next_turn - max(self.durable_turn, self._first())
        return num_unwritten >= self._max_turns or self._num_bytes >= self._max_bytes

    def again(self, request: SessionRequest) -> Turn | None:
        """The turn in doubt, where this is its request once more; where it is another, that turn is given up."""
        if self.pending is not None and self.pending.request == request:
            self.pending.seen = None
            return self.pending
        self._given_up = self.pending is not None
        return None

    def begin(self, request: SessionRequest) -> Turn:
        """Number a new request."""
        self.pending = Turn(self.next_turn, request)
        return self.pending

    def answered(self, end: Positions) -> None:
        """The last answer to the pending turn has come."""
        turn, self.pending = self.pending, None
        if turn is not None:
            turn.end = end
            self.next_turn = turn.number + 1
            self._keep(turn)

    def refused(self) -> None:
        """The server has refused the pending turn, which changed nothing."""
        self.pending = None

    def written_down(self, durable_turn: int) -> None:
        """The server has said up to where turns are in the store."""
        self.durable_turn = max(self.durable_turn, durable_turn)
        self._forget_spares()

    def opened(self, next_turn: int, positions: Positions) -> list[Turn]:
        """The session has been taken up and stands before `next_turn`: the answered turns that it has to get again."""
        if not self.numbered:
            self.pending = None if self._given_up else self.pending
            return []
        self._settle(next_turn, positions)
        if next_turn > self.next_turn and self.pending is None:
            self._adopt(next_turn)
        if next_turn < self.next_turn and next_turn < self._first():
            raise SessionLost(
                f"turns {next_turn} to {self._first() - 1} of the session are lost: the store has forgotten them, and "
                "they are kept here no more",
                Details(reason="TURNS_LOST"),
            )
        return [turn for turn in self._kept if turn.number >= next_turn]

    def has_all(self) -> bool:
        """Whether every turn since the session was opened is still kept here."""
        return self.durable and self._first() == 0

    def _settle(self, next_turn: int, positions: Positions) -> None:
        if self._given_up and self.pending is not None:
            if next_turn > self.pending.number:
                self.answered(positions)
            self.pending = None
        self._given_up = False

    def _adopt(self, next_turn: int) -> None:
        """Others have gone on with the session since: what is kept from before does not join on."""
        self._kept.clear()
        self._num_bytes = 0
        self.next_turn = next_turn

    def _keep(self, turn: Turn) -> None:
        if self.durable and self.numbered:
            self._kept.append(turn)
            self._num_bytes += turn.request.ByteSize()

    def _forget_spares(self) -> None:
        while self._kept and self._kept[0].number < self.durable_turn and self._is_too_much():
            self._num_bytes -= self._kept.popleft().request.ByteSize()

    def _is_too_much(self) -> bool:
        num_spare = self.durable_turn - self._kept[0].number
        return num_spare > NUM_SPARE_TURNS or self._num_bytes > self._max_bytes // 2

    def _first(self) -> int:
        return self._kept[0].number if self._kept else self.next_turn

    def __iter__(self) -> Iterator[Turn]:
        return iter(self._kept)
