"""The errors of the client library: one class for each thing that a caller would do differently.

ClientError
├── InvalidRequest          the request itself is wrong; `field` names the part; sending it again cannot help
├── NotFound
│   ├── ModelNotFound       no such model, version or language pair is served there
│   └── SessionNotFound     no such session (never was, closed, expired), or it is another owner's
│       └── SessionLost     a session that this client held is gone, with what it knew; the message says what
├── NotPossible             well formed, but not with this model or in this state of the session
├── WrongPosition           the session does not stand where the caller believes
├── SessionBusy             another stream holds the session
├── NotAllowed              the server wants credentials, or other ones
├── NotSupported            the server does not know this method: it is older than this client
├── Overloaded              nothing was begun; try again after `retry_after_s`
├── Unavailable             the server is going away, or the connection broke
│   └── Unreachable         no server answers at the address
├── DeadlineExceeded        the time given was not enough
├── Cancelled               the call was cancelled
└── ServerFailed            the fault is the server's
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import grpc
from google.rpc import error_details_pb2, status_pb2


@dataclass(frozen=True, slots=True)
class Details:
    """What the server says about an error besides its message."""

    code: str = ""
    """The gRPC status, such as `INVALID_ARGUMENT`; empty when the client found the fault itself."""
    reason: str = ""
    """A constant for machines, such as `MODEL_NOT_FOUND`; `HELD_BACK` for a call that this client did not send."""
    field: str = ""
    """The part of the request that is wrong, as a path such as `texts[3]`."""
    name: str = ""
    """The name of what was not found."""
    retry_after_s: float | None = None


class ClientError(Exception):
    """The root. The message is for people: what happened, and what was expected."""

    def __init__(self, message: str, details: Details = Details()) -> None:
        super().__init__(message)
        self.details = details

    @property
    def reason(self) -> str:
        """A constant for machines, such as `MODEL_NOT_FOUND`; empty when the client found the fault itself, but for
        `HELD_BACK` of a call that it did not send.
        """
        return self.details.reason


class InvalidRequest(ClientError):
    """The request is wrong in itself."""

    @property
    def field(self) -> str:
        """The part that is wrong, as a path such as `texts[3]` or `options.beam_size`."""
        return self.details.field


class NotFound(ClientError):
    """What was asked for is not there."""

    @property
    def name(self) -> str:
        return self.details.name


class ModelNotFound(NotFound):
    """No such model, version or language pair; the message lists what there is."""


class SessionNotFound(NotFound):
    """No such session, or another owner's: the two are not told apart."""


class SessionLost(SessionNotFound):
    """A session that this client held is gone, and what it had read and written with it; begin a new one."""


class NotPossible(ClientError):
    """Well formed, but this model, or this state of the session, cannot do it; the message says what can."""


class WrongPosition(ClientError):
    """The session does not stand where the caller believes."""


class SessionBusy(ClientError):
    """Another stream holds this session."""


class NotAllowed(ClientError):
    """The server wants credentials, or other ones."""


class NotSupported(ClientError):
    """The server does not know this method."""


class Overloaded(ClientError):
    """A limit of the server is reached; nothing was begun.

    With the `reason` HELD_BACK nothing was sent either: the server has refused much of late.
    """

    @property
    def retry_after_s(self) -> float:
        """When to try again, in seconds from now."""
        return 1.0 if self.details.retry_after_s is None else self.details.retry_after_s


class Unavailable(ClientError):
    """The server is going away, or the connection broke."""


class Unreachable(Unavailable):
    """No server answers at the address; nothing was begun."""


class DeadlineExceeded(ClientError):
    """The time given was not enough. Nobody works on the request any more."""


class Cancelled(ClientError):
    """The call was cancelled."""


class ServerFailed(ClientError):
    """The fault is the server's; its log knows more."""


STATUSES: dict[grpc.StatusCode, type[ClientError]] = {
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.UNKNOWN: ServerFailed,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: NotPossible,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowed,
    grpc.StatusCode.UNAUTHENTICATED: NotAllowed,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.FAILED_PRECONDITION: NotPossible,
    grpc.StatusCode.ABORTED: SessionBusy,
    grpc.StatusCode.OUT_OF_RANGE: WrongPosition,
    grpc.StatusCode.UNIMPLEMENTED: NotSupported,
    grpc.StatusCode.INTERNAL: ServerFailed,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DATA_LOSS: ServerFailed,
}
"""gRPC status → class; where ErrorInfo gives a reason of `REASONS`, that decides."""

REASONS: dict[str, type[ClientError]] = {
    "MODEL_NOT_FOUND": ModelNotFound,
    "SESSION_NOT_FOUND": SessionNotFound,
}

STORE_AWAY = "STORE_AWAY"
"""The reason of an Unavailable because the server's store does not answer."""

HELD_BACK = "HELD_BACK"
"""The reason of an Overloaded for a call that was not sent."""

BROKEN = (Cancelled, ServerFailed)
"""What a connection that breaks in the middle of a stream may look like, besides Unavailable."""


def is_claimed(error: ClientError) -> bool:
    """Whether another stream has resumed the session since this one did."""
    return error.reason in ("MOVED_CLAIMED", "FENCED")


def is_break(error: ClientError) -> bool:
    """Whether not the request has failed but the way to the server, so that a session can be taken up again."""
    if error.reason == "SESSION_BUSY":
        return True
    from_transport = bool(error.details.code) and not error.reason
    return isinstance(error, Unavailable) or (from_transport and isinstance(error, BROKEN))


def is_turned_away(error: ClientError) -> bool:
    """Whether nobody has looked at the call: not the service has refused it, but what stands before it."""
    return is_held_back(error) or (
        isinstance(error, Overloaded) and bool(error.details.code) and not error.reason
    )


def may_be_done_yet(error: ClientError) -> bool:
    """Whether a server that is slow, or its store, may still do what was asked: no word of it came back."""
    never_came = isinstance(error, Unreachable) or is_turned_away(error)
    return error.reason == STORE_AWAY or not (error.reason or never_came)


def is_held_back(error: ClientError) -> bool:
    """Whether the call was not even sent."""
    return error.reason == HELD_BACK


def is_from_core(error: ClientError) -> bool:
    """Whether the server's core has refused the call, as it does with more calls than it can look at."""
    return is_turned_away(error) and error.details.code == grpc.StatusCode.CANCELLED.name


class _Failed(Protocol):
    """What the sync and the async RpcError have in common."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> Sequence[tuple[str, str | bytes]] | None: ...


@contextmanager
def as_client_errors(address: str) -> Iterator[None]:
    """Raise what gRPC raises inside as the client's own errors."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc(error, address) from error


def from_rpc(error: grpc.RpcError, address: str) -> ClientError:
    failed = cast("_Failed", error)
    code, message = failed.code(), failed.details() or ""
    details = _details(code, failed.trailing_metadata() or ())
    if not details.reason:  # not the service has spoken, but the transport
        return _transport_error(code, message, details, address)
    return REASONS.get(details.reason, STATUSES[code])(message, details)


TURNED_AWAY = "CANCELLED"
"""All that gRPC says for a server with more calls than it can look at. Who cancels a call himself hears other words."""
NOT_WRITTEN = "Internal error from Core"
"""All that grpc.aio says, with INTERNAL, of a stream that the server ended, whatever for, while the client was writing
(grpc/grpc#36066)."""


def _transport_error(code: grpc.StatusCode, message: str, details: Details, address: str) -> ClientError:
    if code is grpc.StatusCode.UNAVAILABLE:
        if "errors resolving" in message:
            return Unreachable(f"no machine is known by the address {address}; is it spelt right?", details)
        if "connect" in message.lower() and "reset" not in message.lower():
            return Unreachable(f"no server answers at {address}; start one with: seqserve serve", details)
        return Unavailable(f"the connection to {address} broke ({message})", details)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(f"{address} did not answer within the time given", details)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return NotSupported(f"the server at {address} does not know this method ({message})", details)
    if code is grpc.StatusCode.CANCELLED and message == TURNED_AWAY:
        return Overloaded(f"{address} has more calls waiting than it can look at", details)
    if message == NOT_WRITTEN:
        told = f"{address} ended the stream while something was being sent; why, gRPC does not tell"
        return Unavailable(told, details)
    if "larger than max" in message:
        return InvalidRequest(f"the request or its answer is too large for one message ({message})", details)
    return STATUSES[code](message or f"{address} answered {code.name}", details)


def _details(code: grpc.StatusCode, metadata: Sequence[tuple[str, str | bytes]]) -> Details:
    """Read the google.rpc details that come with a status."""
    details = Details(code=code.name)
    for packed in _packed(metadata):
        if packed.Unpack(info := error_details_pb2.ErrorInfo()):
            details = replace(details, reason=info.reason)
        elif packed.Unpack(request := error_details_pb2.BadRequest()) and request.field_violations:
            details = replace(details, field=request.field_violations[0].field)
        elif packed.Unpack(resource := error_details_pb2.ResourceInfo()):
            details = replace(details, name=resource.resource_name)
        elif packed.Unpack(retry := error_details_pb2.RetryInfo()):
            details = replace(details, retry_after_s=retry.retry_delay.ToTimedelta().total_seconds())
    return details


def _packed(metadata: Sequence[tuple[str, str | bytes]]) -> Iterator[Any]:
    for key, value in metadata:
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            yield from status_pb2.Status.FromString(value).details
