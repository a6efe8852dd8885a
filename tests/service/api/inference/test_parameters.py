from typing import Any

import pytest

from seqserve.inference import grpc_service_pb2 as wire
from service.api.inference.parameters import Parameters
from service.errors import InvalidInput


def read(**given: Any) -> Parameters:
    """`name=("int64_param", 5)`."""
    return Parameters.from_proto(
        {name: wire.InferParameter(**{kind: value}) for name, (kind, value) in given.items()}
    )


@pytest.mark.parametrize(
    ("given", "sequence"),
    [
        (("int64_param", 5), 5),
        (("uint64_param", 5), 5),
        (("uint64_param", 2**64 - 1), 2**64 - 1),
        (("int64_param", -1), 2**64 - 1),
        (("string_param", "5"), "5"),
        (("int64_param", 0), None),
        (("uint64_param", 0), None),
        (("string_param", ""), None),
    ],
)
def test_an_id_is_a_number_or_a_text(given: Any, sequence: Any) -> None:
    assert read(sequence_id=given).sequence == sequence


def test_a_signed_and_an_unsigned_number_are_one_id() -> None:
    assert read(sequence_id=("int64_param", 7)).sequence == read(sequence_id=("uint64_param", 7)).sequence


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"sequence_id": ("bool_param", True)}, "sequence_id is a whole number, not True"),
        ({"sequence_id": ("double_param", 1.5)}, "sequence_id is a whole number"),
        ({"sequence_id": ("string_param", "x" * 129)}, "at most 128 characters"),
        ({"sequence_start": ("bool_param", True)}, "belong to a sequence"),
        ({"sequence_id": ("int64_param", 1), "sequence_end": ("string_param", "true")}, "is a bool_param"),
        ({"timeout": ("int64_param", -1)}, "0 for none"),
        ({"timeout": ("string_param", "soon")}, "timeout is a whole number"),
        ({"timeout": ("double_param", float("nan"))}, "timeout is a whole number"),
        ({"priority": ("string_param", "high")}, "priority is a whole number"),
    ],
)
def test_what_makes_no_sense_is_refused(given: Any, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        read(**given)


def test_a_timeout_is_in_microseconds_and_0_is_none() -> None:
    assert read(timeout=("int64_param", 1_500_000)).timeout_s == 1.5
    assert read(timeout=("uint64_param", 0)).timeout_s is None
    assert read(timeout=("string_param", "250000")).timeout_s == 0.25


def test_what_is_left_is_for_the_task_and_what_is_triton_s_for_nobody() -> None:
    found = read(
        beam_size=("int64_param", 4),
        triton_enable_empty_final_response=("bool_param", True),
        empty=("int64_param", 0),
    )
    assert found.options == {"beam_size": 4, "empty": 0}


def test_a_parameter_without_a_value_is_no_number() -> None:
    with pytest.raises(InvalidInput, match="timeout is a whole number, not None"):
        Parameters.from_proto({"timeout": wire.InferParameter()})
