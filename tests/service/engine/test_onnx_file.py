"""Tensors whose data lie elsewhere are found wherever they hide; nothing else is taken for one."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bundle import Bundle
from service.bundle.messages import Damaged
from service.engine.onnx_file import has_external_data
from tests.fakes.toy_graphs import step_graph

SHIPPED = Path(__file__).resolve().parents[3] / "models"


def external(location: str = "secret.bin", **entries: str) -> onnx.TensorProto:
    tensor = onnx.TensorProto(dims=[2], data_type=onnx.TensorProto.FLOAT, name="w")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def model_with(**parts: Any) -> onnx.ModelProto:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2])
    graph = onnx.helper.make_graph(parts.pop("nodes", []), "g", [value], [value], **parts)
    return onnx.helper.make_model(graph)


def constant(tensor: onnx.TensorProto) -> onnx.NodeProto:
    return onnx.helper.make_node("Constant", [], ["c"], value=tensor)


def branch(tensor: onnx.TensorProto) -> onnx.NodeProto:
    """A condition whose branch holds the tensor."""
    graph = onnx.helper.make_graph([], "b", [], [], initializer=[tensor])
    return onnx.helper.make_node("If", ["x"], ["y"], then_branch=graph, else_branch=onnx.GraphProto())


def in_a_function(tensor: onnx.TensorProto) -> onnx.ModelProto:
    model = model_with()
    model.functions.add(name="f", domain="d").node.append(constant(tensor))
    return model


def in_training(tensor: onnx.TensorProto) -> onnx.ModelProto:
    model = model_with()
    model.training_info.add().algorithm.initializer.append(tensor)
    return model


def sparse(tensor: onnx.TensorProto) -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=tensor, dims=[4])


HIDING_PLACES: list[Callable[[onnx.TensorProto], onnx.ModelProto]] = [
    lambda tensor: model_with(initializer=[tensor]),
    lambda tensor: model_with(nodes=[constant(tensor)]),
    lambda tensor: model_with(nodes=[branch(tensor)]),
    lambda tensor: model_with(nodes=[onnx.helper.make_node("X", [], ["y"], ts=[tensor])]),
    lambda tensor: model_with(nodes=[onnx.helper.make_node("X", [], ["y"], s=sparse(tensor))]),
    lambda tensor: model_with(sparse_initializer=[sparse(tensor)]),
    in_a_function,
    in_training,
]

TENSORS = [
    external("/etc/passwd"),
    external("../../secret"),
    external("*/_ORT_MEM_ADDR_/*", offset="4096", length="8"),
    external("a", checksum="0"),
]


@pytest.mark.parametrize("tensor", TENSORS, ids=lambda tensor: tensor.external_data[0].value)
@pytest.mark.parametrize("hide", HIDING_PLACES)
def test_it_is_found_wherever_it_hides(
    hide: Callable[[onnx.TensorProto], onnx.ModelProto], tensor: onnx.TensorProto
) -> None:
    assert has_external_data(hide(tensor).SerializeToString())


def test_it_is_found_however_it_is_written() -> None:
    """Entries turned round, sizes longer than they need be, only half of what belongs there."""
    half = onnx.TensorProto(name="w", data_location=onnx.TensorProto.EXTERNAL)
    other = onnx.TensorProto(name="w")
    other.external_data.add(value="/etc/passwd", key="location")
    for tensor in (half, other):
        assert has_external_data(model_with(initializer=[tensor]).SerializeToString())
    entry = b"\x12\x0b/etc/passwd" + b"\x0a\x88\x00location"  # value first, and a size of two bytes
    tensor_bytes = b"\x08\x02\x10\x01" + b"\x6a" + bytes([len(entry)]) + entry + b"\x70\x81\x00"
    graph = b"\x2a" + bytes([0x80 | len(tensor_bytes), 0x00]) + tensor_bytes
    model = model_with().SerializeToString() + b"\x3a" + bytes([len(graph)]) + graph
    assert onnx.ModelProto.FromString(model).graph.initializer[0].data_location == 1
    assert has_external_data(model)


def test_a_location_in_memory_is_the_default_and_words_are_only_words() -> None:
    inside = onnx.helper.make_tensor("location", onnx.TensorProto.FLOAT, [2], [1.0, 2.0])
    inside.data_location = onnx.TensorProto.DEFAULT
    inside.doc_string = "\n\x08location\x12 external_data"
    assert not has_external_data(model_with(initializer=[inside]).SerializeToString())


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*/*/manifest.json")), ids=lambda file: file.parts[-3])
def test_what_is_loaded_of_what_is_shipped_holds_none(file: Path) -> None:
    bundle = Bundle.read(file.parent)
    for name in bundle.manifest.graphs:
        assert not has_external_data(bundle.read_graph(name))


def test_a_graph_nested_without_end_is_refused() -> None:
    message = b""
    for _ in range(200):
        attribute = b"\x32" + size(message) + message  # g = 6
        node = b"\x2a" + size(attribute) + attribute
        message = b"\x0a" + size(node) + node
    with pytest.raises(Damaged, match="deeply"):
        has_external_data(b"\x3a" + size(message) + message)


def size(message: bytes) -> bytes:
    number, out = len(message), b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


@given(st.binary(max_size=200))
def test_any_bytes_are_told_or_refused(data: bytes) -> None:
    with contextlib.suppress(Damaged):
        assert has_external_data(data) in (True, False)


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_damaged_file_hides_nothing_that_the_library_would_find(at: int, byte: int) -> None:
    """Whatever one byte is changed to: if protobuf still reads an external tensor there, so do we."""
    data = bytearray(model_with(initializer=[external()], nodes=[branch(external())]).SerializeToString())
    data[at % len(data)] = byte
    try:
        read = onnx.ModelProto.FromString(bytes(data))
    except Exception:
        return
    if any(tensor.data_location or tensor.external_data for tensor in read.graph.initializer):
        with contextlib.suppress(Damaged):
            assert has_external_data(bytes(data))


def test_the_graphs_of_the_tests_are_read_as_onnx_runtime_reads_them() -> None:
    assert not has_external_data(step_graph())
    assert onnxruntime.InferenceSession(step_graph(), providers=["CPUExecutionProvider"])
