"""Tensors of the Open Inference Protocol: a request's bytes to arrays, and arrays to bytes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from seqserve.inference import grpc_service_pb2 as wire
from service.api.inference.parameters import Parameters
from service.api.inference.tensors import DTYPES, inputs_from_proto, outputs_to_proto
from service.errors import InvalidInput, NotOffered
from tests.fakes.inference import request
from tests.fuzz.target import Target


def read(data: bytes) -> None:
    message = wire.ModelInferRequest.FromString(data)
    arrays = inputs_from_proto(message)
    for raw in (False, True):
        outputs_to_proto(arrays, wire.ModelInferResponse(), raw=raw)
    parameters = Parameters.from_proto(message.parameters)
    assert parameters.timeout_s is None or parameters.timeout_s > 0


def seeds() -> Iterator[bytes]:
    for raw in (True, False):
        for datatype, dtype in DTYPES.items():
            array = np.array([[b"a", b""]], object) if dtype.kind == "O" else np.array([[0, 1]], dtype)
            if raw or datatype != "FP16":
                given: dict[str, Any] = {
                    "timeout": 5,
                    "sequence_id": 3,
                    "sequence_start": True,
                    "beam_size": "2",
                }
                yield request("m", {"a": array, "b": array}, raw=raw, **given).SerializeToString()


TARGET = Target(
    "tensors",
    read,
    seeds,
    refusals=(InvalidInput, NotOffered, DecodeError),
    max_bytes=1024,
    words=tuple(name.encode() for name in DTYPES),
)
