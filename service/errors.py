"""The errors of the service. No transport code stands here; `service.api.statuses` maps each class to its gRPC status.

SeqserveError
├── InvalidInput            the request itself is wrong: say what was expected; sending it again cannot help
├── OutOfRange              a position that is not where the session stands; the message says where it does
├── NotFound
│   ├── ModelNotFound       no such model, version or language pair is served here
│   └── SessionNotFound     no such session, or it is another owner's
├── NotPossible             well formed, but not with this model or in this state (a stream on a two-way encoder)
├── SessionBusy             another stream holds the session
├── Overloaded              a queue or a limit is full: try again after `retry_after_s`
├── Draining                the server is going away: try again elsewhere
├── StepFailed              the engine could not run a step; the session stands where it stood
├── BundleRefused           a model on disk does not fit: a hash, an axis, a version (at load)
└── ConfigRefused           a setting is wrong (at start)
"""


class SeqserveError(Exception):
    """The root. The message is for people: what happened, and what was expected."""

    reason = "INTERNAL"
    """A constant for machines (the `reason` of google.rpc.ErrorInfo)."""


class InvalidInput(SeqserveError):
    """The request is wrong in itself; `field` names the part, as a path such as `options.beam_size`."""

    reason = "INVALID_INPUT"

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class OutOfRange(SeqserveError):
    """A position that is not the session's: look where it stands and go on from there; `field` as in InvalidInput."""

    reason = "OUT_OF_RANGE"

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


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


class SessionBusy(SeqserveError):
    """Another stream holds this session."""

    reason = "SESSION_BUSY"


class Overloaded(SeqserveError):
    """A limit is reached; nothing was begun. Try again after `retry_after_s` seconds."""

    reason = "OVERLOADED"

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


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
