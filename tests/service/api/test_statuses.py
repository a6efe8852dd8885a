import inspect

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from service import errors
from service.api.statuses import STATUSES, to_status
from service.errors import InvalidInput, Overloaded, SeqserveError

ALL_ERRORS = [
    each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, SeqserveError)
]


@pytest.mark.parametrize("error", ALL_ERRORS)
def test_every_error_has_a_status_and_says_its_reason(error: type[SeqserveError]) -> None:
    status = to_status(error("so it is"))
    assert status.code is STATUSES[error]
    assert status.details == "so it is"
    [(_, data)] = status.trailing_metadata
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(data).details[0].Unpack(info)
    assert (info.reason, info.domain) == (error.reason, "seqserve")


def test_every_reason_is_a_constant_of_its_own() -> None:
    assert len({each.reason for each in ALL_ERRORS}) == len(ALL_ERRORS)
    assert all(each.reason.replace("_", "").isupper() for each in ALL_ERRORS)


def test_what_the_tree_says_is_what_there_is() -> None:
    drawn = errors.__doc__ or ""
    assert all(each.__name__ in drawn for each in ALL_ERRORS)


def test_an_overloaded_server_says_when_to_come_back() -> None:
    status = to_status(Overloaded("full", retry_after_s=1.5))
    assert status.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    retry = error_details_pb2.RetryInfo()
    assert status_pb2.Status.FromString(status.trailing_metadata[0][1]).details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 1500


def test_an_error_without_a_field_names_none() -> None:
    status = to_status(InvalidInput("wrong"))
    assert len(status_pb2.Status.FromString(status.trailing_metadata[0][1]).details) == 1
