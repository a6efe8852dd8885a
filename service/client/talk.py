"""What is said in a session, when, and what follows from each answer or break: the same for both clients.

Each method with an underscore and a `Program` as its result is a generator. It yields what is to be done with the wire,
is sent what came of it, and returns the answer; the sync and the async session do it, each in its own way.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from seqserve.v1.session_pb2 import DURABILITY_MODE_NONE, Opened, Output, SessionRequest, SessionResponse
from service.client import requests
from service.client.errors import (
    ClientError,
    DeadlineExceeded,
    Details,
    Overloaded,
    ServerFailed,
    SessionLost,
    SessionNotFound,
    Unreachable,
    is_break,
    is_claimed,
    is_turned_away,
)
from service.client.gate import Gate
from service.client.reconnecting import Outage, Reconnecting, Resumed, Unheard, Watch
from service.client.record import Record, check_stays, expect
from service.client.replay import Replay, Turn

MAX_BEGIN_S = 10.0
"""How long a server may take to let a session be taken up before another is tried."""
MAX_OPEN_S = 10.0
"""How long a session that was never held is tried to be begun, where connections to its server break. A server that is
there and has too much to do is waited for as long as patience lasts."""
MAX_CLOSE_S = 2.0
"""How long a server is looked for only to close a session."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Leave the stream, if there is one, and begin another; gives its first answer."""

    request: SessionRequest
    timeout: float | None
    elsewhere: bool
    """At the next address, where there are several."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request on the open stream."""

    request: SessionRequest


@dataclass(frozen=True, slots=True)
class Receive:
    """Gives the next answer of the open stream, or raises a ClientError; then the stream is left."""

    timeout: float | None


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for a while."""

    seconds: float


Effect = Begin | Send | Receive | Wait
R = TypeVar("R")
Program = Generator[Effect, SessionResponse | None, R]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a session behaves when its stream breaks."""

    patience_s: float
    """How long it looks for a server, once it has been held, before the error is raised."""
    max_attempts: int
    """How often it is tried to begin it at each address the first time."""
    gates: Mapping[str, Gate]
    """To each server, by its address."""
    watch: Watch

    @property
    def num_addresses(self) -> int:
        return len(self.gates)


class Talk(Record):
    """A session's programs. A request is sent until it is answered, and no answer is given out twice."""

    def __init__(self, opening: SessionRequest, timeout: float | None, manner: Manner) -> None:
        super().__init__(opening, timeout)
        self._manner = manner
        self._replay = Replay()
        self._outage: Outage | None = None
        self._unheard = Unheard()

    @property
    def num_turns(self) -> int:
        """Feeds, generates and rewinds so far; `rewind(num_turns - 1)` at some time means: to where it stands now."""
        return self._replay.next_turn

    @property
    def durable_turn(self) -> int:
        """Every turn below it is in the server's store, and so is its answer."""
        return self._replay.durable_turn

    def _is_new(self, request: SessionRequest) -> bool:
        """Whether the first request of a stream begins a session; else there is one already, which has to go on."""
        return request.HasField("open") and not self._held_before

    def _has_stream(self) -> bool:
        raise NotImplementedError

    def _turn(self, request: SessionRequest, timeout: float | None) -> Program[SessionResponse]:
        """Send what may change the session, as its next turn; gives the first answer."""
        self._check_not_writing()
        turn = self._replay.again(request)
        yield from self._connected()
        if turn is None and self._replay.is_full:
            yield from self._make_room()
        turn = turn or self._replay.begin(request)
        yield Send(turn.message())
        return (yield from self._answer(turn, timeout))

    def _more(self, timeout: float | None) -> Program[SessionResponse]:
        """The next answer to the turn that is under way."""
        if self._replay.pending is None:
            raise ServerFailed("no turn is under way")
        return (yield from self._answer(self._replay.pending, timeout))

    def _aside(self, request: SessionRequest, kind: str) -> Program[SessionResponse]:
        """Send what changes nothing; it may be done twice when the stream breaks."""
        self._check_not_writing()
        yield from self._connected()
        while True:
            yield Send(request)
            try:
                answer = check_stays((yield from self._heard(self._default_timeout)))
            except ClientError as error:
                yield from self._reconnected(error)
                continue
            expect(answer, kind)
            self._note_answer(answer)
            return answer

    def _answer(self, turn: Turn, timeout: float | None) -> Program[SessionResponse]:
        while True:
            try:
                answer = check_stays((yield from self._heard(self._within(timeout))))
            except ClientError as error:
                yield from self._after(error)
                yield Send(turn.message())
                continue
            if self._is_news(turn, answer):
                return answer

    def _heard(self, timeout: float | None) -> Program[SessionResponse]:
        answer = yield Receive(timeout)
        assert answer is not None
        return answer

    def _after(self, error: ClientError) -> Program[None]:
        """Survive a break; a refusal is raised."""
        if isinstance(error, DeadlineExceeded) or not self._is_survived(error):
            self._outage = None
            if error.reason and error.details.code and not is_claimed(error):  # a refusal, and no farewell
                self._replay.refused()
            raise self._lost(error)
        yield from self._reconnected(error)

    def _is_news(self, turn: Turn, answer: SessionResponse) -> bool:
        """Note an answer to a turn; cut off what has been given out before, and say whether anything is left."""
        self._note_answer(answer)
        if not answer.HasField("turn"):
            self._replay.numbered = False
        if answer.HasField("rewound"):
            self._replay.answered(self._note_positions(answer.rewound))
            return True
        expect(answer, "output")
        output = answer.output
        num_new = _cut(output, turn.seen)
        turn.seen = output.output_position if turn.seen is None else max(turn.seen, output.output_position)
        positions = self._note_positions(output)
        if turn.request.HasField("generate") and not output.finish_reason:
            return num_new > 0
        self._replay.answered(positions)
        return True

    def _note_answer(self, answer: SessionResponse) -> None:
        self._replay.written_down(answer.durable_turn)
        outage, self._outage = self._outage, None
        if outage is not None and outage.attempts and self._held_before:
            self._manner.watch(
                Resumed(
                    self.session_id,
                    outage.seconds,
                    outage.attempts,
                    outage.num_replayed,
                    outage.answered_again,
                )
            )

    def _connected(self) -> Program[None]:
        """Open the session, or take it up again, where there is no stream."""
        if self._has_stream():
            return
        try:
            yield from self._taken_up(elsewhere=False)
        except ClientError as error:
            yield from self._reconnected(error)

    def _reconnected(self, error: ClientError) -> Program[None]:
        """Take the session up again, here or elsewhere, as long as there is hope and patience."""
        try:
            yield from self._looked_for(error)
        except BaseException:
            self._outage = None
            raise

    def _looked_for(self, error: ClientError) -> Program[None]:
        outage = self._outage = self._outage or Outage(self._manner.patience_s)
        while True:
            if not self._is_survived(error):
                raise self._lost(error)
            if is_claimed(error):
                self._unheard.claimed()
            wait_s = outage.wait_s(error)
            self._check_attempts(outage, error)
            if self._held_before:
                self._manner.watch(Reconnecting(self.session_id, outage.attempts, error))
            yield Wait(wait_s)
            try:
                yield from self._taken_up(elsewhere=self._manner.num_addresses > 1)
                return
            except ClientError as again:
                error = again

    def _check_attempts(self, outage: Outage, error: ClientError) -> None:
        """What is begun for the first time does not wait long for a server, and less where none is at all."""
        if self._held_before:
            return
        enough = self._manner.max_attempts * self._manner.num_addresses
        is_enough = outage.attempts >= enough and isinstance(error, Unreachable)
        is_long = outage.seconds > MAX_OPEN_S and not is_turned_away(error)
        if is_enough or self._manner.max_attempts == 1 or is_long:
            raise error

    def _taken_up(self, elsewhere: bool) -> Program[None]:
        answer = yield from self._begun(elsewhere)
        opened = self._note_opened(check_stays(answer))
        self._replay.durable = opened.durability.mode not in (0, DURABILITY_MODE_NONE)
        self._note_opening(opened)
        for turn in self._replay.opened(opened.next_turn, (opened.input_position, opened.output_position)):
            yield from self._repeated(turn)

    def _begun(self, elsewhere: bool) -> Program[SessionResponse]:
        try:
            answer = yield Begin(self._first_request(), self._begin_timeout(), elsewhere)
        except ClientError as error:
            self._unheard.note(error)
            raise
        assert answer is not None
        return answer

    def _note_opening(self, opened: Opened) -> None:
        if self._replay.pending is None:
            self._note_positions(opened)
        elif self._outage is not None:
            self._outage.answered_again = opened.next_turn > self._replay.pending.number

    def _repeated(self, turn: Turn) -> Program[None]:
        """Send an answered turn again; its answers say nothing new."""
        yield Send(turn.message())
        while True:
            answer = check_stays((yield from self._heard(self._default_timeout)))
            if not turn.request.HasField("generate") or answer.output.finish_reason:
                break
        message = answer.rewound if answer.HasField("rewound") else answer.output
        if turn.end != (message.input_position, message.output_position):
            raise ServerFailed(
                f"turn {turn.number} of the session was answered otherwise when it was sent again"
            )
        self._replay.written_down(answer.durable_turn)
        if self._outage is not None:
            self._outage.num_replayed += 1

    def _closing(self) -> Program[None]:
        """End the session; a server that is not there is not waited for long, since what is left there expires."""
        self._outage = Outage(min(self._manner.patience_s, MAX_CLOSE_S))
        try:
            answer = yield from self._aside(requests.close(), "closed")
            self._note_positions(answer.closed)
        except SessionNotFound:
            return
        finally:
            self._outage = None

    def _make_room(self) -> Program[None]:
        """Have the server write the session down, so that what is kept here can go."""
        yield from self._aside(requests.snapshot(), "snapshotted")
        if self._replay.is_full:
            raise Overloaded(
                f"the last {self._replay.next_turn - self._replay.durable_turn} turns are not in the server's store, "
                "and no more are kept here; try again when the store is back",
            )

    def _is_survived(self, error: ClientError) -> bool:
        if is_claimed(error):
            # For an attempt of its own that came late; or for someone else: from them it is not taken back.
            return self._unheard.may_claim
        if not self._held_before:
            return is_break(error) or is_turned_away(error)
        if isinstance(error, SessionNotFound) and not isinstance(error, SessionLost):
            return self._looks_further()
        meanwhile = isinstance(error, DeadlineExceeded | Overloaded) and self._outage is not None
        return is_break(error) or meanwhile

    def _looks_further(self) -> bool:
        """A session that one server does not know may live on another; or it is begun again from what is kept."""
        outage = self._outage = self._outage or Outage(self._manner.patience_s)
        outage.num_not_found += 1
        if outage.num_not_found < self._manner.num_addresses:
            return True
        if self._replay.has_all() and not self._replay.durable_turn and self._opening.HasField("open"):
            self._opening, self.session_id = self._anew(), ""
            return True
        return False

    def _lost(self, error: ClientError) -> ClientError:
        """Say what is gone with a session that no server knows any more."""
        if not self._held_before or not isinstance(error, SessionNotFound) or isinstance(error, SessionLost):
            return error
        why = "it was not to be written down" if not self._replay.durable else "the store does not know it"
        message = (
            f"session {self.session_id} is gone ({why}): {self._replay.next_turn} turns, {self.input_position} inputs "
            f"read and {self.output_position} outputs written are lost; open a new one"
        )
        return SessionLost(message, Details(error.details.code, "SESSION_LOST", name=self.session_id))

    def _begin_timeout(self) -> float | None:
        timeout = self._default_timeout
        return timeout if not self._held_before else min(timeout or MAX_BEGIN_S, MAX_BEGIN_S)


def _cut(output: Output, seen: int | None) -> int:
    """Cut off tokens that came before; how many are left."""
    if seen is not None and output.tokens:
        start = output.output_position - len(output.tokens)
        if start > seen:
            raise ServerFailed(f"outputs {seen} to {start - 1} of the session are missing")
        del output.tokens[: seen - start]
    return len(output.tokens)
