import numpy as np
import pytest

from seqserve.v1.input_pb2 import Features, Pcm, Tensor
from service.api.input_converters import (
    features_from_proto,
    pcm_from_proto,
    tensor_to_proto,
    tensors_from_proto,
)
from service.errors import InvalidInput
from service.tasks.said import NamedTensor


def test_readings_come_row_by_row() -> None:
    assert features_from_proto(Features(dim=2, values=[1, 2, 3, 4]), "f").values.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "message",
    [Features(dim=2, values=[1, 2, 3]), Features(values=[1]), Features(dim=1, values=[float("nan")])],
)
def test_readings_that_are_not_whole_or_not_finite_are_refused(message: Features) -> None:
    with pytest.raises(InvalidInput):
        features_from_proto(message, "feed.features")


def test_sound_is_little_endian() -> None:
    assert pcm_from_proto(Pcm(samples=b"\x01\x00\xff\xff"), "p").samples.tolist() == [1, -1]


@pytest.mark.parametrize("message", [Pcm(samples=b"\x01"), Pcm(sample_rate=-1)])
def test_half_a_sample_and_a_negative_rate_are_refused(message: Pcm) -> None:
    with pytest.raises(InvalidInput):
        pcm_from_proto(message, "feed.pcm")


@pytest.mark.parametrize("array", [np.arange(6, dtype=np.int64).reshape(2, 3), np.array(0.5, np.float32)])
def test_a_tensor_comes_back_as_it_was_sent(array: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
    back = tensors_from_proto([tensor_to_proto(NamedTensor("x", array))], "t").arrays["x"]
    assert (back.dtype, back.shape, back.tolist()) == (array.dtype, array.shape, array.tolist())


@pytest.mark.parametrize(
    "messages",
    [
        [Tensor(name="x", shape=[1], floats=[1]), Tensor(name="x", shape=[1], floats=[1])],
        [Tensor(name="x", shape=[2], floats=[1])],
        [Tensor(name="x", shape=[-1], floats=[1])],
        [Tensor(name="x", shape=[1], floats=[1], ints=[1])],
    ],
)
def test_tensors_that_are_twice_there_or_of_another_shape_are_refused(messages: list[Tensor]) -> None:
    with pytest.raises(InvalidInput):
        tensors_from_proto(messages, "feed.tensors")
