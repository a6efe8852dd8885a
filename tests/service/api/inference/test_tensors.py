from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqserve.inference import grpc_service_pb2 as wire
from service.api.inference.tensors import CONTENTS, DTYPES, inputs_from_proto
from service.errors import InvalidInput
from service.step import Array
from tests.fakes.inference import request

NUMBERS = [name for name in DTYPES if name != "BYTES"]
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=3)


def sent(array: Array, *, raw: bool) -> Array:
    return inputs_from_proto(request("m", {"x": array}, raw=raw))["x"]


@given(st.sampled_from(NUMBERS), SHAPES, st.booleans(), st.integers(0, 2**32))
def test_numbers_arrive_bit_for_bit_raw_or_typed(name: str, shape: list[int], raw: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    array = np.frombuffer(rng.bytes(int(np.prod(shape)) * DTYPES[name].itemsize), DTYPES[name]).reshape(shape)
    array = rng.integers(0, 2, shape).astype(bool) if name == "BOOL" else array
    if array.dtype.kind == "f" and not raw:
        array = np.nan_to_num(array)  # a NaN's payload does not outlive a typed field
    found = sent(array, raw=raw)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=6), st.booleans())
def test_bytes_arrive_as_they_were(texts: list[bytes], raw: bool) -> None:
    array = np.empty((len(texts), 1), object)
    array[:, 0] = texts
    assert sent(array, raw=raw).tolist() == array.tolist()


def message(shape: Any = (1, 2), datatype: str = "FP32", raw: bytes | None = None, **contents: Any) -> Any:
    built = wire.ModelInferRequest()
    tensor = built.inputs.add(name="x", datatype=datatype, shape=shape)
    if contents:
        tensor.contents.CopyFrom(wire.InferTensorContents(**contents))
    if raw is not None:
        built.raw_input_contents.append(raw)
    return built


@pytest.mark.parametrize(
    ("built", "why"),
    [
        (message(datatype="FP12"), "datatype 'FP12'; known are BOOL"),
        (message(datatype="BF16", raw=b""), "datatype 'BF16'"),
        (message(shape=()), "expected .rows"),
        (message(shape=(1, 0), raw=b""), "none of them empty"),
        (message(shape=(1, -1), raw=b"1234"), "none of them empty"),
        (message(raw=b"123"), "has 3 bytes.*takes 8"),
        (message(shape=(2**40, 2**40), raw=b"1234"), "has 4 bytes"),
        (message(shape=(2**40, 1), fp32_contents=[1.0]), "has 1 elements"),
        (message(fp32_contents=[1.0]), "has 1 elements; the shape .1, 2. takes 2"),
        (message(int_contents=[1, 2]), "stand in fp32_contents, not in int_contents"),
        (message(fp32_contents=[1.0, 2.0], int_contents=[1]), "stand in fp32_contents"),
        (message(), "not in nothing"),
        (message(datatype="FP16", fp32_contents=[1.0, 2.0]), "FP16 has no typed contents; send it raw"),
        (message(datatype="INT8", int_contents=[1, 300]), "holds a number that is no INT8"),
        (message(datatype="UINT8", uint_contents=[1, 256]), "holds a number that is no UINT8"),
        (message(datatype="BOOL", raw=b"\0\2"), "a BOOL is a byte 0 or 1"),
        (message(datatype="BYTES", raw=b"\5\0\0\0abc"), "ends after the last byte"),
        (message(datatype="BYTES", raw=b"\5\0"), "ends after the last byte"),
        (message(datatype="BYTES", shape=(1, 2), raw=b"\1\0\0\0a"), "has 1 elements"),
        (message(raw=b"12345678", fp32_contents=[1.0, 2.0]), "both contents and raw_input_contents"),
    ],
)
def test_what_is_no_tensor_is_refused_with_what_was_expected(built: Any, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        inputs_from_proto(built)


def test_raw_contents_are_for_all_inputs_or_none() -> None:
    built = message(raw=b"12345678")
    built.inputs.add(name="y", datatype="FP32", shape=[1, 2])
    with pytest.raises(InvalidInput, match="1 entries for 2 inputs"):
        inputs_from_proto(built)


def test_an_input_stands_there_once_and_all_have_the_same_rows() -> None:
    twice = message(raw=b"12345678")
    twice.inputs.append(twice.inputs[0])
    twice.raw_input_contents.append(b"12345678")
    with pytest.raises(InvalidInput, match="stands there twice"):
        inputs_from_proto(twice)
    uneven = message(raw=b"12345678")
    uneven.inputs.add(name="y", datatype="FP32", shape=[2, 1])
    uneven.raw_input_contents.append(b"12345678")
    with pytest.raises(InvalidInput, match=r"number of rows: x \[1, 2\], y \[2, 1\]"):
        inputs_from_proto(uneven)


def test_shared_memory_is_refused() -> None:
    built = message(raw=b"12345678")
    built.inputs[0].parameters["shared_memory_region"].string_param = "mine"
    with pytest.raises(InvalidInput, match=r"shared_memory_region .shared memory is not offered"):
        inputs_from_proto(built)


def test_every_datatype_but_half_floats_has_its_typed_field() -> None:
    assert DTYPES.keys() - CONTENTS.keys() == {"FP16"}
