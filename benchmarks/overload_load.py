"""Callers of an overloaded server: in an open loop they come when they come, in a closed one when another has gone.

Whoever is not answered within his deadline leaves, as a gRPC client does. Times count from when a caller was due, also
where this process was late to let him call.
"""

import random
import select
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, cycle
from typing import NamedTuple

from benchmarks.overload_uses import Use
from benchmarks.overload_wire import DATA, HEADERS, Connection, Frame, status_of
from service.client import HoldingBack
from service.client.throttle import Slot, Throttle

OK, TURNED_AWAY, EXHAUSTED = 0, 1, 8
"""Codes of gRPC; CANCELLED, where nobody of ours has looked at the call."""
LEFT, CUT, HELD = -1, -2, -3
"""The caller's time was over; the connection, or the call, was cut without a status; the caller held it back."""
REFUSALS = TURNED_AWAY, EXHAUSTED, HELD
LONGEST_NAP_S = 0.005


class Ended(NamedTuple):
    """One call, when it was over; times in seconds since the load began."""

    use: int
    due: float
    sent: float
    first: float
    """When the first message came; 0 where none did."""
    ended: float
    code: int
    """Of gRPC, or one of those above."""


@dataclass(slots=True)
class Call:
    """One under way."""

    use: int
    text: int
    due: float
    sent: float
    connection: Connection
    stream: int
    slot: Slot | None = None
    """Where it counts, of a caller who holds back."""
    first: float = 0.0
    num_turns: int = 0
    rest: bytes = b""
    """Of messages that have not come whole."""


@dataclass
class Load:
    """One load, from first to last call."""

    address: str
    uses: Sequence[Use]
    seconds: float
    """How long calls are begun."""
    seed: int = 0
    num_connections: int = 32
    holding_back: HoldingBack | None = None
    """What each connection holds back, as a client of ours that has one connection; None: nothing."""
    ended: list[Ended] = field(default_factory=list)

    def open(self, per_s: float) -> list[Ended]:
        """So many calls a second, at random times (a Poisson process), whatever becomes of those before."""
        chance = random.Random(self.seed)
        due = 0.0

        def arrivals(now: float) -> Iterator[float]:
            nonlocal due
            while due <= now:
                yield due
                due += chance.expovariate(per_s)

        return self._run(arrivals, lambda now: due)

    def closed(self, at_once: int) -> list[Ended]:
        """So many calls under way at all times."""

        def arrivals(now: float) -> Iterator[float]:
            for _ in range(at_once - len(self._calls)):
                yield now

        return self._run(arrivals, lambda now: now + LONGEST_NAP_S)

    def _run(
        self, arrivals: Callable[[float], Iterator[float]], next_due: Callable[[float], float]
    ) -> list[Ended]:
        self._begin()
        while (now := self._now()) < self.seconds or self._calls:
            if now < self.seconds:
                for due in arrivals(now):
                    self._call(due)
            self._give_up(self._now())
            for connection in self._connections:
                connection.flush()
            until = min(next_due(now) if now < self.seconds else now + LONGEST_NAP_S, now + LONGEST_NAP_S)
            self._listen(max(0.0, until - self._now()))
        for connection in self._connections:
            connection.socket.close()
        return self.ended

    def _begin(self) -> None:
        self._connections = [Connection(self.address) for _ in range(self.num_connections)]
        self._by_handle = {each.socket.fileno(): each for each in self._connections}
        self._poll = select.epoll()
        for handle in self._by_handle:
            self._poll.register(handle, select.EPOLLIN)
        self._turn = cycle(self._connections)
        held = self.holding_back
        self._throttles = {each: Throttle(held) for each in self._by_handle} if held else {}
        self._calls: dict[tuple[int, int], Call] = {}
        """By handle of the connection, and stream."""
        self._leaving: list[deque[Call]] = [deque() for _ in self.uses]
        """By use, who came first first: all of one use are as patient."""
        self._chance = random.Random(self.seed + 1)
        self._shares = list(accumulate(use.share for use in self.uses))
        self._began = time.perf_counter()

    def _now(self) -> float:
        return time.perf_counter() - self._began

    def _call(self, due: float) -> None:
        chosen = self._chance.random() * self._shares[-1]
        use = next(at for at, share in enumerate(self._shares) if chosen < share)
        connection = next((c for c in (next(self._turn) for _ in self._connections) if c.has_room), None)
        if connection is None:
            self.ended.append(Ended(use, due, self._now(), 0.0, self._now(), CUT))
            return
        throttle, slot = self._throttles.get(connection.socket.fileno()), None
        if throttle is not None and (slot := throttle.ask()) is None:
            self.ended.append(Ended(use, due, self._now(), 0.0, self._now(), HELD))
            return
        what = self.uses[use]
        text = self._chance.randrange(len(what.begins))
        stream = connection.call(what.head, what.begins[text], ends=not what.turns)
        call = Call(use, text, due, self._now(), connection, stream, slot)
        self._calls[connection.socket.fileno(), stream] = call
        self._leaving[use].append(call)

    def _give_up(self, now: float) -> None:
        for use, calls in zip(self.uses, self._leaving, strict=True):
            while calls and (calls[0].stream == 0 or calls[0].due + use.deadline_s < now):
                call = calls.popleft()
                if call.stream:
                    call.connection.reset(call.stream)
                    self._end(call, LEFT)

    def _listen(self, seconds: float) -> None:
        for handle, _ in self._poll.poll(seconds):
            connection = self._by_handle[handle]
            for heard in connection.heard():
                if call := self._calls.get((handle, heard.stream)):
                    self._take_in(call, heard)
            if not connection.is_open:
                self._lose(connection)

    def _take_in(self, call: Call, heard: Frame) -> None:
        if heard.kind == DATA:
            call.first = call.first or self._now()
            self._answer(call, heard.payload)
        if heard.ends:
            call.connection.ended()
            self._end(call, status_of(heard.payload) if heard.kind == HEADERS else CUT)

    def _answer(self, call: Call, payload: bytes) -> None:
        """Say the next thing for each message that has come whole."""
        turns = self.uses[call.use].turns
        if not turns:
            return
        call.rest += payload
        while len(call.rest) >= 5 and len(call.rest) >= 5 + (
            size := struct.unpack_from(">I", call.rest, 1)[0]
        ):
            call.rest = call.rest[5 + size :]
            if call.num_turns < len(turns):
                turn = turns[call.num_turns][call.text]
                call.num_turns += 1
                call.connection.say(call.stream, turn, ends=call.num_turns == len(turns))

    def _lose(self, connection: Connection) -> None:
        self._poll.unregister(connection.socket.fileno())
        self._connections = [each for each in self._connections if each is not connection]
        self._turn = cycle(self._connections or [connection])
        for call in [call for call in self._calls.values() if call.connection is connection]:
            self._end(call, CUT)

    def _end(self, call: Call, code: int) -> None:
        if call.slot is not None and is_for_load(code, self.uses[call.use]):
            self._throttles[call.connection.socket.fileno()].refused(call.slot)
        del self._calls[call.connection.socket.fileno(), call.stream]
        call.stream = 0
        self.ended.append(Ended(call.use, call.due, call.sent, call.first, self._now(), code))


def is_for_load(code: int, use: Use) -> bool:
    """Whether our client holds back for such an end: a session's opening computes nothing."""
    return code == TURNED_AWAY or (code == EXHAUSTED and not use.turns)
