"""Parameters of a request: the sequence it belongs to, its time, and options of the task."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from seqserve.inference import grpc_service_pb2 as wire
from service.errors import InvalidInput
from service.priority import Priority

MAX_ID_CHARS = 128
RESERVED = "triton_"
"""Begins what Triton's clients say to Triton itself: that an empty last answer may be left out, and the like."""
SequenceId = int | str
"""42 and "42" are two sequences."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a request says beside its tensors, checked."""

    sequence: SequenceId | None = None
    starts: bool = False
    ends: bool = False
    timeout_s: float | None = None
    priority: Priority | None = None
    """None: as the call says."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What is left: options of the model's task, by name."""

    @classmethod
    def from_proto(cls, given: Mapping[str, wire.InferParameter]) -> Self:
        values = {
            name: _value(parameter) for name, parameter in given.items() if not name.startswith(RESERVED)
        }
        sequence = _sequence_id(values.pop("sequence_id", 0))
        starts, ends = _flag(values, "sequence_start"), _flag(values, "sequence_end")
        if sequence is None and (starts or ends):
            raise InvalidInput(
                "sequence_start and sequence_end belong to a sequence: send sequence_id, which is neither 0 nor empty",
                field="parameters.sequence_id",
            )
        timeout_s = _timeout(values.pop("timeout", 0))
        priority = _priority(values.pop("priority", 0))
        return cls(sequence, starts, ends, timeout_s, priority, values)


def _value(parameter: wire.InferParameter) -> Any:
    kind = parameter.WhichOneof("parameter_choice")
    return getattr(parameter, kind) if kind else None


def _sequence_id(value: Any) -> SequenceId | None:
    if isinstance(value, str):
        if len(value) > MAX_ID_CHARS:
            raise InvalidInput(
                f"a sequence_id has at most {MAX_ID_CHARS} characters", field="parameters.sequence_id"
            )
        return value or None
    return _whole(value, "sequence_id") % 2**64 or None  # an id above 2^63 travels as a negative int64, too


def _flag(values: dict[str, Any], name: str) -> bool:
    value = values.pop(name, False)
    if not isinstance(value, bool):
        raise InvalidInput(f"{name} is a bool_param, not {value!r}", field=f"parameters.{name}")
    return value


def _timeout(value: Any) -> float | None:
    microseconds = _whole(value, "timeout")
    if microseconds < 0:
        raise InvalidInput("timeout is a number of microseconds, 0 for none", field="parameters.timeout")
    return microseconds / 1e6 or None


def _priority(value: Any) -> Priority | None:
    """1 is the highest; 0, and levels that there are not, are the default, as Triton takes them."""
    level = _whole(value, "priority")
    return Priority(level) if level in tuple(Priority) else None


def _whole(value: Any, name: str) -> int:
    """Some clients write every parameter as text."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        return int(value)
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"{name} is a whole number, not {value!r}", field=f"parameters.{name}")
    return value
