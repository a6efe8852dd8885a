"""The errors of the service. No transport code stands here; `service.api.statuses` maps each class to its gRPC status.

SeqserveError
├── InvalidInput            the request itself is wrong: say what was expected; sending it again cannot help
├── OutOfRange              a position that is not where the session stands; the message says where it does
├── NotFound
│   ├── ModelNotFound       no such model, version or language pair is served here
│   └── SessionNotFound     no such session, or it is another owner's
├── NotPossible             well formed, but not with this model or in this state (a stream on a two-way encoder)
├── Unauthenticated         no credentials came, or they are not good here
├── NotAllowed              this server, or its owner, does not let this caller do it
├── SessionBusy             another stream holds the session and does not let go of it
├── TurnConflict            another request had this turn already
├── Fenced                  another server has claimed the session since: it goes on there
├── SnapshotRefused         a snapshot cannot be taken up: damaged, of a newer format, or of another model version
├── TicketRefused           not a ticket that this caller got from here
│   ├── TicketExpired       it was one, and its time is over
│   └── TicketOutdated      it was one, and its session has gone on since
├── StoreAway               the store cannot be reached or cannot write: try again after `retry_after_s`
├── TimedOut                the time that the request itself allowed is over; the session stands where it stood
├── NotOffered              a part of a protocol that this server does not speak
├── Overloaded              a queue or a limit is full: try again after `retry_after_s`
│   └── QuotaExceeded       the owner has used up what is his for now
├── CallerTooSlow           he did not send what he began, or did not read what he asked for
├── Draining                the server is going away: try again elsewhere
├── StepFailed              the engine could not run a step; the session stands where it stood
├── BundleRefused           a model on disk does not fit: a hash, an axis, a version (at load)
└── ConfigRefused           a setting is wrong (at start)
"""

from collections.abc import Mapping


class SeqserveError(Exception):
    """The root. The message is for people: what happened, and what was expected."""

    reason = "INTERNAL"
    """A constant for machines (the `reason` of google.rpc.ErrorInfo)."""
    metadata: Mapping[str, str] = {}
    """More for machines, by name."""


class InvalidInput(SeqserveError):
    """The request is wrong in itself; `field` names the part, as a path such as `options.beam_size`."""

    reason = "INVALID_INPUT"

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class OutOfRange(SeqserveError):
    """A position or turn that is not the session's: look where it stands and go on from there; `field` as above.

    Where it is about a turn, the metadata say which one comes next.
    """

    reason = "OUT_OF_RANGE"

    def __init__(self, message: str, *, field: str = "", next_turn: int | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.metadata = {} if next_turn is None else {"next_turn": str(next_turn)}


class NotFound(SeqserveError):
    """What was asked for is not here; `kind` and `name` say what it was."""

    reason = "NOT_FOUND"
    kind = "resource"

    def __init__(self, message: str, *, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class ModelNotFound(NotFound):
    """No such model, version or language pair."""

    reason = "MODEL_NOT_FOUND"
    kind = "model"


class SessionNotFound(NotFound):
    """No such session, or another owner's: the two are not told apart."""

    reason = "SESSION_NOT_FOUND"
    kind = "session"


class NotPossible(SeqserveError):
    """Well formed, but this model, or this state of the session, cannot do it."""

    reason = "NOT_POSSIBLE"


class Unauthenticated(SeqserveError):
    """No credentials came, or they are not good here; the metadata say why, in a word for machines."""

    reason = "UNAUTHENTICATED"

    def __init__(self, message: str, *, why: str = "missing") -> None:
        super().__init__(message)
        self.metadata = {"why": why}


class NotAllowed(SeqserveError):
    """This server does not let this caller do it."""

    reason = "NOT_ALLOWED"


class SessionBusy(SeqserveError):
    """Another stream holds this session and does not let go of it."""

    reason = "SESSION_BUSY"


class TurnConflict(SeqserveError):
    """Another request had this turn already. The metadata say which turn comes next."""

    reason = "TURN_CONFLICT"

    def __init__(self, message: str, *, next_turn: int | None = None) -> None:
        super().__init__(message)
        self.metadata = {} if next_turn is None else {"next_turn": str(next_turn)}


class Fenced(SeqserveError):
    """Another server has claimed this session since; what is written under the older epoch is refused."""

    reason = "FENCED"


class SnapshotRefused(SeqserveError):
    """A snapshot cannot be taken up: damaged, of a newer format, or of another model version; the message says why."""

    reason = "SNAPSHOT_REFUSED"


class TicketRefused(SeqserveError):
    """Not a ticket that this caller got from here, or changed since. Forged and another owner's are not told apart."""

    reason = "TICKET_REFUSED"


class TicketExpired(TicketRefused):
    """A genuine ticket of this caller whose time is over."""

    reason = "TICKET_EXPIRED"


class TicketOutdated(TicketRefused):
    """A genuine ticket of a session that has gone on since, or was closed: it is no way back."""

    reason = "TICKET_OUTDATED"


class StoreAway(SeqserveError):
    """The store cannot be reached, or cannot write; whether a write took place is not known. Try again later."""

    reason = "STORE_AWAY"

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TimedOut(SeqserveError):
    """The request allowed less time than it would have taken. What was under way is given up; no state has changed."""

    reason = "TIMED_OUT"


class NotOffered(SeqserveError):
    """A call or a parameter of a protocol of which this server speaks other parts."""

    reason = "NOT_OFFERED"


class Overloaded(SeqserveError):
    """A limit is reached; nothing was begun. Try again after `retry_after_s` seconds."""

    reason = "OVERLOADED"

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QuotaExceeded(Overloaded):
    """The owner has used up what is his for now; the metadata name the quota."""

    reason = "QUOTA_EXCEEDED"

    def __init__(self, message: str, *, quota: str = "requests", retry_after_s: float = 1.0) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.metadata = {"quota": quota}


class CallerTooSlow(SeqserveError):
    """The call was ended as its caller did not send, or did not read, for too long. A session stays; call again."""

    reason = "CALLER_TOO_SLOW"


class Draining(SeqserveError):
    """The server is going away; nothing was begun here."""

    reason = "DRAINING"


class StepFailed(SeqserveError):
    """The engine could not run a step. No state has changed."""

    reason = "STEP_FAILED"


class BundleRefused(SeqserveError):
    """A model on disk cannot be served; the message says which file and why."""

    reason = "BUNDLE_REFUSED"


class ConfigRefused(SeqserveError):
    """A setting is wrong; the message names it and what is valid."""

    reason = "CONFIG_REFUSED"
