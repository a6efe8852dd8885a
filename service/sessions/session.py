"""One client's conversation with a model: whose it is, which model it is bound to, and where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from service.errors import Fenced, SessionNotFound, TurnConflict
from service.registry import Served
from service.sessions.durability import NEVER, Durability
from service.sessions.plain import HasPlain
from service.sessions.reading import NOTHING_READ, Reading
from service.sessions.turns import Turn, TurnLog

Pending = Mapping[str, Any]
"""What is held back of the input, and whatever else a kind of model has to remember, as plain JSON values."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a session stands. A value: a session moves by taking up the next one, once a step was accepted."""

    reading: Reading = NOTHING_READ
    """Of the text that is being read now."""
    pending: Pending | None = None
    """The word that is held back, as it is not yet known to be whole."""
    text_is_over: bool = False
    """The text was ended; the next input begins a new one."""
    input_position: int = 0
    """Tokens consumed since the session was opened, over all its texts."""
    output_position: int = 0
    """Tokens emitted since the session was opened."""

    def for_input(self) -> Self:
        """Where input is taken from here: the same place, or the start of a new text."""
        return replace(self, **_NEW_TEXT) if self.text_is_over else self

    def read(self, reading: Reading, pending: Pending | None) -> Self:
        """The standing after reading on; positions grow by what was read."""
        grown = reading.num_tokens - self.reading.num_tokens
        return replace(self, reading=reading, pending=pending, input_position=self.input_position + grown)

    def ended(self) -> Self:
        """The standing after the end of the text, which can still be answered."""
        return replace(self, text_is_over=True)

    def answered(self, num_read: int, num_written: int) -> Self:
        """The standing after the last `num_read` tokens of the text and an answer to it: the text is done with."""
        return replace(
            self,
            **_NEW_TEXT,
            input_position=self.input_position + num_read,
            output_position=self.output_position + num_written,
        )

    def wrote_on(self, reading: Reading, pending: Pending | None, num_read: int, num_written: int) -> Self:
        """The standing after the last `num_read` tokens of the text and what was written on it, which belongs to it."""
        return replace(
            self,
            reading=reading,
            pending=pending,
            text_is_over=False,
            input_position=self.input_position + num_read,
            output_position=self.output_position + num_written,
        )


_NEW_TEXT: dict[str, Any] = {"reading": NOTHING_READ, "pending": None, "text_is_over": False}

NEW = Standing()


@dataclass(slots=True)
class Unfinished:
    """A generate whose stream broke, or that is under way: what it was, and how far it has come."""

    digest: str
    search: HasPlain | None = None
    """Goes on from between two steps; None until the text is read."""


@dataclass(slots=True, eq=False)
class Session:
    """Held by at most one stream; only its holder moves it on."""

    id: str
    owner: str
    served: Served
    """The model version it was opened on; it stays with it."""
    ttl_s: float
    """How long it is kept while no stream holds it."""
    standing: Standing = NEW
    log: TurnLog = field(default_factory=TurnLog)
    unfinished: Unfinished | None = None
    """The turn that comes next, where it was begun."""
    steps: int = 0
    """Tokens read and written, and turns done, since it came here."""
    durability: Durability = NEVER
    manner: Mapping[str, Any] = field(default_factory=dict)
    """What it was opened with that bears on its answers, as JSON values."""
    # What follows is the keeper's.
    epoch: int = 0
    """Under which it may be written to the store; 0: it is not there yet."""
    revision: int = 0
    """Of its newest snapshot; they are numbered within an epoch."""
    unanswered_claim: str = ""
    """The id of a claim that the store did not answer: it may have taken place, and may still."""
    saved_steps: int = 0
    """Its steps when the snapshot was taken that is in the store."""
    durable_turn: int = 0
    """Every turn below this one is in the store."""
    stored_at: float = 0.0
    """When its time to live began last in the store, by the monotonic clock."""
    lost: type[Fenced | SessionNotFound] | None = None
    """By what it was found out that it is no longer this server's: nothing of it is written any more."""

    @property
    def is_stored(self) -> bool:
        """Whether all of it is in the store."""
        return self.epoch > 0 and self.saved_steps >= self.steps

    def accept(self, digest: str, answer: str, standing: Standing, num_outputs: int = 0) -> Turn:
        """The next turn is done: the session stands elsewhere, and its answer can be given again."""
        self.steps += 1 + abs(standing.input_position - self.standing.input_position)
        self.standing, self.unfinished = standing, None
        return self.log.add(digest, answer, standing, num_outputs)

    def move(self, standing: Standing, num_steps: int) -> None:
        """The session stands elsewhere, without a turn: nobody can go back to it or ask for its answer again."""
        self.steps += num_steps
        self.standing, self.unfinished = standing, None

    def check_turn(self, number: int | None, digest: str) -> Turn | None:
        """As `TurnLog.find`; what was begun under a number is not replaced by another request with that number."""
        done = self.log.find(number, digest)
        if done is None and number is not None and self.unfinished and self.unfinished.digest != digest:
            raise TurnConflict(
                f"turn {number} was begun as another request: go on with that, or send this without a turn to give "
                "that up",
                next_turn=self.log.next_turn,
            )
        return done

    def fork(self, session_id: str) -> "Session":
        """Another session that stands where this one stands, with its turns; what is unfinished stays here."""
        fork = Session(session_id, self.owner, self.served, self.ttl_s, self.standing, self.log.copy())
        fork.durability, fork.manner = self.durability, self.manner
        return fork
