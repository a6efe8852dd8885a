"""Tensors of messages ⇄ numpy: raw (little-endian bytes) or typed (numbers in the field that fits)."""

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from seqserve.inference import grpc_service_pb2 as wire
from service.errors import InvalidInput
from service.step import Array

BYTES = "BYTES"
DTYPES = {
    "BOOL": np.dtype("?"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    BYTES: np.dtype(object),
}
"""Datatype of the protocol → what numpy calls it; an element of BYTES is a Python `bytes`."""
DATATYPES = {dtype: name for name, dtype in DTYPES.items()}
CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
"""Datatype → its field of InferTensorContents."""
_LENGTH = struct.Struct("<I")


def datatype_of(dtype: str) -> str:
    """The protocol's name for a dtype of a manifest."""
    return DATATYPES[np.dtype(dtype)]


def inputs_from_proto(request: wire.ModelInferRequest) -> dict[str, Array]:
    """Name → array, the batch first; none is written to. InvalidInput names the input and what is wrong with it."""
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidInput(
            f"raw_input_contents has {len(raw)} entries for {len(request.inputs)} inputs; expected one for each",
            field="raw_input_contents",
        )
    arrays: dict[str, Array] = {}
    for index, tensor in enumerate(request.inputs):
        if tensor.name in arrays:
            raise InvalidInput(f"input {tensor.name!r} stands there twice", field="inputs")
        arrays[tensor.name] = _array(tensor, raw[index] if raw else None)
    _check_rows(arrays)
    return arrays


def outputs_to_proto(
    arrays: Mapping[str, Array], response: wire.ModelInferResponse, *, raw: bool
) -> wire.ModelInferResponse:
    """Put the arrays into the response, in their order. What no typed field fits makes all of them raw."""
    raw = raw or any(DATATYPES[array.dtype] not in CONTENTS for array in arrays.values())
    for name, array in arrays.items():
        datatype = DATATYPES[array.dtype]
        tensor = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if raw:
            response.raw_output_contents.append(_raw(array))
        else:
            getattr(tensor.contents, CONTENTS[datatype]).extend(array.ravel().tolist())
    return response


def _array(tensor: wire.ModelInferRequest.InferInputTensor, raw: bytes | None) -> Array:
    field = f"inputs.{tensor.name}"
    if tensor.datatype not in DTYPES:
        raise InvalidInput(
            f"{tensor.name} has the datatype {tensor.datatype!r}; known are {', '.join(DTYPES)}", field=field
        )
    if tensor.parameters:
        names = ", ".join(sorted(tensor.parameters))
        raise InvalidInput(
            f"{tensor.name} has parameters that are not known here: {names} (shared memory is not offered)",
            field=field,
        )
    if not tensor.shape or min(tensor.shape) < 1:
        raise InvalidInput(
            f"{tensor.name} has the shape {list(tensor.shape)}; expected [rows, …], none of them empty",
            field=field,
        )
    if raw is None:
        return _from_contents(tensor, field)
    if tensor.HasField("contents"):
        raise InvalidInput(f"{tensor.name} has both contents and raw_input_contents", field=field)
    return _from_raw(tensor, raw, field)


def _from_raw(tensor: wire.ModelInferRequest.InferInputTensor, raw: bytes, field: str) -> Array:
    num, dtype = math.prod(tensor.shape), DTYPES[tensor.datatype]
    if tensor.datatype == BYTES:
        return _shaped(tensor, list(_elements(raw, field)), field)
    if len(raw) != num * dtype.itemsize:
        raise InvalidInput(
            f"{tensor.name} has {len(raw):,} bytes; {list(tensor.shape)} of {tensor.datatype} takes "
            f"{num * dtype.itemsize:,}",
            field=field,
        )
    if dtype == np.dtype("?") and raw.strip(b"\0\1"):
        raise InvalidInput(f"{tensor.name}: a BOOL is a byte 0 or 1", field=field)
    return np.frombuffer(raw, dtype).reshape(tuple(tensor.shape))


def _from_contents(tensor: wire.ModelInferRequest.InferInputTensor, field: str) -> Array:
    filled = [descriptor.name for descriptor, _ in tensor.contents.ListFields()]
    wanted = CONTENTS.get(tensor.datatype)
    if wanted is None:
        raise InvalidInput(
            f"{tensor.name}: {tensor.datatype} has no typed contents; send it raw", field=field
        )
    if filled != [wanted]:
        raise InvalidInput(
            f"{tensor.name} is {tensor.datatype}, whose elements stand in {wanted}, not in "
            f"{', '.join(filled) or 'nothing'}",
            field=field,
        )
    return _shaped(tensor, getattr(tensor.contents, wanted), field)


def _shaped(tensor: wire.ModelInferRequest.InferInputTensor, elements: Sequence[Any], field: str) -> Array:
    num, dtype = math.prod(tensor.shape), DTYPES[tensor.datatype]
    if len(elements) != num:
        raise InvalidInput(
            f"{tensor.name} has {len(elements):,} elements; the shape {list(tensor.shape)} takes {num:,}",
            field=field,
        )
    array = np.array(elements, dtype)
    # One typed field is wide enough for several datatypes.
    if dtype.kind in "iu" and not np.array_equal(array, np.array(elements)):
        raise InvalidInput(f"{tensor.name} holds a number that is no {tensor.datatype}", field=field)
    return array.reshape(tuple(tensor.shape))


def _elements(raw: bytes, field: str) -> Iterator[bytes]:
    """Each element stands behind its length."""
    at = 0
    while at < len(raw):
        start = at + _LENGTH.size
        end = start + _LENGTH.unpack_from(raw, at)[0] if start <= len(raw) else start
        if end > len(raw):
            raise InvalidInput("an element of BYTES ends after the last byte", field=field)
        yield raw[start:end]
        at = end


def _raw(array: Array) -> bytes:
    if array.dtype == object:
        return b"".join(_LENGTH.pack(len(each)) + each for each in array.ravel())
    return array.tobytes()


def _check_rows(arrays: Mapping[str, Array]) -> None:
    if len({len(array) for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        raise InvalidInput(f"inputs differ in their number of rows: {shapes}", field="inputs")
