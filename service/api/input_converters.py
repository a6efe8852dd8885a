"""Messages of input that is not text → plain values; what no value of ours stands for is refused."""

from collections.abc import Iterable

import numpy as np

from seqserve.v1 import input_pb2
from service.bundle.wav import read_wav
from service.errors import InvalidInput
from service.step import Array
from service.tasks.intake import NamedArrays, Readings, Sound
from service.tasks.said import NamedTensor


def features_from_proto(message: input_pb2.Features, field: str) -> Readings:
    """`[time, dim]`, all finite."""
    num, dim = len(message.values), message.dim
    if dim < 1 or num % dim:
        raise InvalidInput(
            f"{field} has {num} values of dim {dim}; expected a dim of at least 1 and whole readings",
            field=field,
        )
    values = np.array(message.values, np.float32).reshape(-1, dim)
    if not np.isfinite(values).all():
        raise InvalidInput(f"{field} holds a value that is not a finite number", field=f"{field}.values")
    return Readings(values)


def pcm_from_proto(message: input_pb2.Pcm, field: str) -> Sound:
    """16-bit samples of one channel."""
    if len(message.samples) % 2:
        raise InvalidInput(
            f"{field} has {len(message.samples)} bytes; expected 16-bit samples, two bytes each", field=field
        )
    if message.sample_rate < 0:
        raise InvalidInput(f"{field}.sample_rate must be 0 or more", field=f"{field}.sample_rate")
    return Sound(np.frombuffer(message.samples, "<i2"), message.sample_rate)


def audio_from_proto(message: input_pb2.Audio, field: str) -> Sound:
    """A whole recording."""
    kind = message.WhichOneof("audio")
    if kind == "pcm":
        return pcm_from_proto(message.pcm, f"{field}.pcm")
    if kind is None:
        raise InvalidInput(f"{field} is empty; expected pcm or wav", field=field)
    try:
        return Sound(*read_wav(message.wav))
    except InvalidInput as error:
        raise InvalidInput(f"{field}.wav: {error}", field=f"{field}.wav") from None


def array_to_proto(values: Array) -> input_pb2.Features:
    """`[time, dim]`."""
    return input_pb2.Features(dim=values.shape[1], values=values.ravel().tolist())


def tensors_from_proto(messages: Iterable[input_pb2.Tensor], field: str) -> NamedArrays:
    """Named arrays, none twice."""
    arrays: dict[str, Array] = {}
    for message in messages:
        if message.name in arrays:
            raise InvalidInput(f"{field} holds {message.name!r} twice", field=field)
        arrays[message.name] = _array(message, f"{field}.{message.name}")
    return NamedArrays(arrays)


def tensor_to_proto(tensor: NamedTensor) -> input_pb2.Tensor:
    name, array = tensor
    values = array.ravel().tolist()
    if np.issubdtype(array.dtype, np.integer):
        return input_pb2.Tensor(name=name, shape=array.shape, ints=values)
    return input_pb2.Tensor(name=name, shape=array.shape, floats=values)


def _array(message: input_pb2.Tensor, field: str) -> Array:
    if message.floats and message.ints:
        raise InvalidInput(f"{field} has floats and ints; expected one of them", field=field)
    flat = np.array(message.ints, np.int64) if message.ints else np.array(message.floats, np.float32)
    shape = tuple(message.shape)
    if any(size < 0 for size in shape) or int(np.prod(shape, dtype=object)) != len(flat):
        raise InvalidInput(
            f"{field} has {len(flat)} values; its shape {list(shape)} wants another number", field=field
        )
    return flat.reshape(shape)
