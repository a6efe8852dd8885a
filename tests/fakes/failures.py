"""Statuses as a seqserve server gives them, to be given when a test says so."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

REFUSED = "REFUSED"
"""A text with this word is answered with INVALID_ARGUMENT."""


@dataclass
class Failure:
    """A status to answer with, instead of an answer."""

    code: grpc.StatusCode
    message: str = "told to fail"
    details: Sequence[Message] = ()

    def abort(self, context: grpc.ServicerContext) -> NoReturn:
        packed = [any_pb2.Any() for _ in self.details]
        for into, detail in zip(packed, self.details, strict=True):
            into.Pack(detail)
        code = code_pb2.Code.Value(self.code.name)
        status = status_pb2.Status(code=code, message=self.message, details=packed)
        context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError("abort raises")


def because(reason: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain="seqserve")


def overloaded(retry_after_s: float) -> Failure:
    delay = Duration(nanos=int(retry_after_s * 1e9))
    retry = error_details_pb2.RetryInfo(retry_delay=delay)
    return Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full", [because("OVERLOADED"), retry])


def wrong(path: str, message: str) -> Failure:
    violation = error_details_pb2.BadRequest.FieldViolation(field=path, description=message)
    request = error_details_pb2.BadRequest(field_violations=[violation])
    return Failure(grpc.StatusCode.INVALID_ARGUMENT, message, [because("INVALID_INPUT"), request])


def not_found(kind: str, name: str) -> Failure:
    resource = error_details_pb2.ResourceInfo(resource_type=kind, resource_name=name)
    reason = because(f"{kind.upper()}_NOT_FOUND")
    return Failure(grpc.StatusCode.NOT_FOUND, f"no {kind} {name!r}; there are others", [reason, resource])


def cut() -> Failure:
    """What a client sees of a connection that breaks: no details of the service."""
    return Failure(grpc.StatusCode.UNAVAILABLE, "Socket closed")
