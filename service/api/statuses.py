"""One table: which error is which gRPC status, and the google.rpc details that go with it."""

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from service.errors import (
    BundleRefused,
    CallerTooSlow,
    ConfigRefused,
    Draining,
    Fenced,
    InvalidInput,
    ModelNotFound,
    NotAllowed,
    NotFound,
    NotOffered,
    NotPossible,
    OutOfRange,
    Overloaded,
    QuotaExceeded,
    SeqserveError,
    SessionBusy,
    SessionNotFound,
    SnapshotRefused,
    StepFailed,
    StoreAway,
    TicketExpired,
    TicketOutdated,
    TicketRefused,
    TimedOut,
    TurnConflict,
    Unauthenticated,
)

DOMAIN = "seqserve"
MAX_MESSAGE_BYTES = 800
"""A status travels in headers, which may have 8 KiB in all; there the message stands up to four times, in encodings
that make it up to three times as long."""

STATUSES: dict[type[SeqserveError], grpc.StatusCode] = {
    SeqserveError: grpc.StatusCode.INTERNAL,
    InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    OutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    NotFound: grpc.StatusCode.NOT_FOUND,
    ModelNotFound: grpc.StatusCode.NOT_FOUND,
    SessionNotFound: grpc.StatusCode.NOT_FOUND,
    NotPossible: grpc.StatusCode.FAILED_PRECONDITION,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    NotAllowed: grpc.StatusCode.PERMISSION_DENIED,
    SessionBusy: grpc.StatusCode.ABORTED,
    TurnConflict: grpc.StatusCode.ABORTED,
    Fenced: grpc.StatusCode.ABORTED,
    SnapshotRefused: grpc.StatusCode.FAILED_PRECONDITION,
    TicketRefused: grpc.StatusCode.INVALID_ARGUMENT,
    TicketOutdated: grpc.StatusCode.FAILED_PRECONDITION,
    TicketExpired: grpc.StatusCode.FAILED_PRECONDITION,
    StoreAway: grpc.StatusCode.UNAVAILABLE,
    TimedOut: grpc.StatusCode.DEADLINE_EXCEEDED,
    NotOffered: grpc.StatusCode.UNIMPLEMENTED,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    QuotaExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    CallerTooSlow: grpc.StatusCode.UNAVAILABLE,
    Draining: grpc.StatusCode.UNAVAILABLE,
    StepFailed: grpc.StatusCode.INTERNAL,
    BundleRefused: grpc.StatusCode.FAILED_PRECONDITION,
    ConfigRefused: grpc.StatusCode.INTERNAL,
}


def to_status(error: SeqserveError) -> Any:
    """The grpc.Status to end a call with."""
    message = _clipped(str(error))
    code = STATUSES[type(error)].value[0]
    details = [_packed(detail) for detail in _details(error, message)]
    return rpc_status.to_status(status_pb2.Status(code=code, message=message, details=details))


def _details(error: SeqserveError, message: str) -> Iterator[Any]:
    yield error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    if isinstance(error, InvalidInput | OutOfRange) and error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=message)
        yield error_details_pb2.BadRequest(field_violations=[violation])
    if isinstance(error, NotFound):
        yield error_details_pb2.ResourceInfo(resource_type=error.kind, resource_name=_clipped(error.name))
    if isinstance(error, Overloaded | StoreAway):
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after_s * 1000))
        yield error_details_pb2.RetryInfo(retry_delay=delay)


def _packed(detail: Any) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


def _clipped(message: str) -> str:
    data = message.encode("utf-8", "replace")
    if len(data) <= MAX_MESSAGE_BYTES:
        return data.decode()
    return data[: MAX_MESSAGE_BYTES - 3].decode("utf-8", "ignore") + "…"
