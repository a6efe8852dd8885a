"""How long and how often a session looks for a server again, and what is told of it meanwhile."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from service.client.errors import ClientError, SessionBusy, may_be_done_yet

FIRST_WAIT_S = 0.05
GROWTH = 1.6
"""From one wait to the next, as in gRPC: who grows faster overshoots the end of a short outage by more."""
MAX_WAIT_S = 2.0
LATE_CLAIM_S = 30.0
"""How long after an attempt to take a session up a server may still claim it for that attempt."""
MAX_BUSY = 6
"""How often another stream may be found to hold the session: then it is someone else's."""


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """The stream of a session broke; the client is about to look for a server."""

    session_id: str
    attempt: int
    """From 1."""
    error: ClientError


@dataclass(frozen=True, slots=True)
class Resumed:
    """A session goes on after a break."""

    session_id: str
    seconds: float
    """From the break to the first answer after it."""
    attempts: int
    num_replayed: int
    """Turns that the server had lost and got again."""
    answered_again: bool
    """The turn that was under way had been done: it was answered from the log, not run again."""


Watch = Callable[[Reconnecting | Resumed], object]


@dataclass(slots=True)
class Outage:
    """The time from a break to the next answer."""

    patience_s: float
    clock: Callable[[], float] = time.monotonic
    attempts: int = 0
    num_busy: int = 0
    num_not_found: int = 0
    num_replayed: int = 0
    answered_again: bool = False
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def seconds(self) -> float:
        return self.clock() - self.began

    def wait_s(self, error: ClientError) -> float:
        """Note a failed attempt; how long to wait before the next. The error itself once patience is at its end."""
        self.attempts += 1
        self.num_busy += isinstance(error, SessionBusy)
        if self.seconds >= self.patience_s or self.num_busy > MAX_BUSY:
            raise error
        longest = min(FIRST_WAIT_S * GROWTH ** (self.attempts - 1), MAX_WAIT_S)
        asked = error.details.retry_after_s or 0.0
        return max(min(asked, MAX_WAIT_S) * random.uniform(1.0, 1.5), longest * random.uniform(0.5, 1.0))


class Unheard:
    """Attempts to take a session up for which a server may still claim it, for all that is known."""

    def __init__(self) -> None:
        self._made_at: list[float] = []

    def note(self, error: ClientError) -> None:
        """An attempt has failed."""
        if may_be_done_yet(error):
            self._made_at.append(time.monotonic())

    @property
    def may_claim(self) -> bool:
        """Whether a claim of the session may be for one of them."""
        longest_ago = time.monotonic() - LATE_CLAIM_S
        self._made_at = [at for at in self._made_at if at > longest_ago]
        return bool(self._made_at)

    def claimed(self) -> None:
        """The session was claimed, and taken for the first of them: each claims once."""
        del self._made_at[:1]
