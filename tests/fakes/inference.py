"""Words for tests that speak the Open Inference Protocol."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pytest

from seqserve.inference import grpc_service_pb2 as wire
from seqserve.inference import grpc_service_pb2_grpc
from service.api.inference.tensors import DATATYPES, DTYPES, outputs_to_proto
from service.step import Array
from tests.fakes.toy_server import Toys


def stub(toys: Toys) -> "grpc_service_pb2_grpc.GRPCInferenceServiceAsyncStub":
    made: grpc_service_pb2_grpc.GRPCInferenceServiceAsyncStub = (
        grpc_service_pb2_grpc.GRPCInferenceServiceStub(toys.channel)
    )
    return made


@asynccontextmanager
async def denied(code: str, why: str = "") -> AsyncIterator[None]:
    """What is called inside ends with this code, for this reason."""
    with pytest.raises(grpc.aio.AioRpcError, match=re.compile(why, re.DOTALL)) as error:
        yield
    assert error.value.code().name == code


def tokens(*rows: list[int]) -> dict[str, Array]:
    return {"tokens": np.array(rows, np.int64)}


def text(*rows: str) -> dict[str, Array]:
    return {"text": np.array([[row.encode()] for row in rows], object)}


def request(
    model: str, inputs: Mapping[str, Array], *, raw: bool = True, wanted: tuple[str, ...] = (), **given: Any
) -> wire.ModelInferRequest:
    """`given` are parameters; `version` and `id` are not."""
    message = wire.ModelInferRequest(
        model_name=model, model_version=given.pop("version", ""), id=given.pop("id", "")
    )
    # An output on the wire looks as an input does.
    response = outputs_to_proto(inputs, wire.ModelInferResponse(), raw=raw)
    for output in response.outputs:
        message.inputs.add().ParseFromString(output.SerializeToString())
    message.raw_input_contents.extend(response.raw_output_contents)
    for name in wanted:
        message.outputs.add(name=name)
    for name, value in given.items():
        kind = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}[
            type(value)
        ]
        setattr(message.parameters[name], kind, value)
    return message


def in_sequence(number: int | str, *, starts: bool = False, ends: bool = False) -> dict[str, Any]:
    return {"sequence_id": number, "sequence_start": starts, "sequence_end": ends}


def arrays(response: wire.ModelInferResponse) -> dict[str, Array]:
    """What came, raw or typed."""
    found: dict[str, Array] = {}
    for index, tensor in enumerate(response.outputs):
        shape, dtype = tuple(tensor.shape), DTYPES[tensor.datatype]
        if response.raw_output_contents:
            data = response.raw_output_contents[index]
            flat = _texts(data) if tensor.datatype == "BYTES" else np.frombuffer(data, dtype)
        else:
            [(_, values)] = tensor.contents.ListFields()
            flat = np.array(list(values), dtype)
        assert tensor.datatype == DATATYPES[dtype]
        found[tensor.name] = flat.reshape(shape)
    return found


def _texts(data: bytes) -> Array:
    found: list[bytes] = []
    while data:
        end = 4 + int.from_bytes(data[:4], "little")
        found.append(data[4:end])
        data = data[end:]
    return np.array(found, object)
