"""Graphs that share weights: what is put into one is what its file says; nothing is left to be looked for elsewhere."""

from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper

from service.bundle.messages import Damaged
from service.bundle.weights import WEIGHTS, Misplaced, joined, places
from tests.fakes.toy_graphs import step_graph
from tests.fuzz.target import Target

SHARED = bytes(range(256)) * 16


def read(data: bytes) -> None:
    found = places(data)
    whole = joined(data, SHARED)
    assert len(whole) <= len(data) + len(SHARED)
    assert places(whole) == []
    try:
        before, after = onnx.ModelProto.FromString(data), onnx.ModelProto.FromString(whole)
    except DecodeError:
        return
    assert not any(tensor.external_data for tensor in after.graph.initializer)
    if len(found) == sum(bool(tensor.external_data) for tensor in before.graph.initializer):
        for tensor, filled in zip(before.graph.initializer, after.graph.initializer, strict=True):
            assert not tensor.external_data or filled.raw_data == said(tensor)


def said(tensor: TensorProto) -> bytes:
    """The bytes that the library would look for in the file."""
    entry = {entry.key: entry.value for entry in tensor.external_data}
    assert entry["location"] == WEIGHTS
    return SHARED[int(entry["offset"]) :][: int(entry["length"])]


def seeds() -> Iterator[bytes]:
    yield step_graph()
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [], [])
    for number, (dtype, dims, size) in enumerate(
        ((TensorProto.FLOAT, [3, 4], 48), (TensorProto.INT8, [32], 32), (TensorProto.INT64, [], 8))
    ):
        tensor = TensorProto(
            dims=dims, data_type=dtype, name=f"w{number}", data_location=TensorProto.EXTERNAL
        )
        for key, value in (("location", WEIGHTS), ("offset", str(64 * number)), ("length", str(size))):
            tensor.external_data.add(key=key, value=value)
        graph.initializer.append(tensor)
        yield helper.make_model(graph).SerializeToString()


TARGET = Target(
    "weights",
    read,
    seeds,
    refusals=(Damaged, Misplaced),
    words=(b"\x70\x01", b"\x6a\x00", b"\x2a", b"\x3a", WEIGHTS.encode(), b"offset", b"length", b"4096"),
)
