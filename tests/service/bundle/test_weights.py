"""Weights that graphs share: put into them byte for byte as the onnx library took them out, or refused."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from service.bundle.messages import Damaged
from service.bundle.weights import WEIGHTS, Misplaced, check_alike, check_apart, joined, places
from service.engine.onnx_file import has_external_data

SHAPES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "w": (np.int8, (9, 4)),
    "scale": (np.float32, (4,)),
    "many": (np.int64, (2, 1, 3)),
    "one": (np.float64, ()),
    "half": (np.float16, (3, 3)),
    "none": (np.float32, (0, 4)),
}


def graph() -> onnx.ModelProto:
    """One with initializers of several types, one of which a branch has, too."""
    rng = np.random.default_rng(0)
    tensors = [
        numpy_helper.from_array(rng.integers(0, 9, shape).astype(dtype), name)
        for name, (dtype, shape) in SHAPES.items()
    ]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    return helper.make_model(helper.make_graph(nodes, "g", [value], [value], initializer=tensors))


def apart(folder: Path, **options: Any) -> tuple[bytes, bytes]:
    """The graph's file and its weights, as the onnx library writes them."""
    onnx.save(
        graph(),
        folder / "x.onnx",
        save_as_external_data=True,
        location=WEIGHTS,
        size_threshold=0,
        **options,
    )
    return (folder / "x.onnx").read_bytes(), (folder / WEIGHTS).read_bytes()


@pytest.fixture
def thin(tmp_path: Path) -> tuple[bytes, bytes]:
    return apart(tmp_path)


def changed(data: bytes, change: Callable[[Any], object]) -> bytes:
    """The graph with its first initializer changed."""
    model = onnx.ModelProto.FromString(data)
    change(model.graph.initializer[0])
    return bytes(model.SerializeToString())


def say(key: str, value: str) -> Callable[[Any], object]:
    def change(tensor: Any) -> None:
        entry = next(entry for entry in tensor.external_data if entry.key == key)
        entry.value = value

    return change


def add(key: str, value: str) -> Callable[[Any], object]:
    return lambda tensor: tensor.external_data.add(key=key, value=value)


def put(**parts: Any) -> Callable[[Any], object]:
    def change(tensor: Any) -> None:
        for name, value in parts.items():
            field = getattr(tensor, name)
            if hasattr(field, "extend"):
                field.extend(value)
            else:
                setattr(tensor, name, value)

    return change


def test_what_the_onnx_library_took_out_is_put_back_byte_for_byte(thin: tuple[bytes, bytes]) -> None:
    whole = joined(*thin)
    assert whole == graph().SerializeToString()
    assert not has_external_data(whole)
    assert [place.dims for place in places(thin[0])] == [shape for _, shape in SHAPES.values()]


def test_a_graph_that_is_whole_stays_as_it_is() -> None:
    whole = graph().SerializeToString()
    assert places(whole) == []
    assert joined(whole, b"") == whole
    told = changed(whole, put(data_location=TensorProto.DEFAULT))
    assert joined(told, b"") == told


REFUSED: dict[str, tuple[Callable[[Any], object], str]] = {
    "a file elsewhere": (say("location", "/etc/passwd"), "not in a range of weights.bin"),
    "a folder up": (say("location", f"../{WEIGHTS}"), "not in a range"),
    "the file by another name": (say("location", f"./{WEIGHTS}"), "not in a range"),
    "an address in memory": (say("location", "*/_ORT_MEM_ADDR_/*"), "not in a range"),
    "past the end": (say("offset", "4096"), "which has"),
    "far past the end": (say("offset", "9" * 15), "which has"),
    "further than numbers go": (say("offset", "9" * 5000), "no number of bytes"),
    "before the beginning": (say("offset", "-36"), "no number of bytes"),
    "no number": (say("length", "3e1"), "no number of bytes"),
    "digits of another script": (say("length", "٣٦"), "no number of bytes"),
    "too short for its shape": (say("length", "35"), "no tensor of shape [9, 4] and type 3"),
    "another type": (put(data_type=TensorProto.FLOAT), "no tensor of shape [9, 4] and type 1"),
    "of texts": (put(data_type=TensorProto.STRING), "of type 8"),
    "of no type that there is": (put(data_type=99), "of type 99"),
    "more dimensions than a tensor has": (put(dims=[1] * 1000), "no tensor of shape"),
    "somewhere else": (lambda t: t.MergeFromString(b"\x70\x02"), "2 times"),
    "only somewhere else": (
        lambda t: (t.ClearField("data_location"), t.MergeFromString(b"\x70\x02")),
        "lies at 2",
    ),
    "a checksum": (add("checksum", "0"), "not in a range"),
    "two offsets": (add("offset", "0"), "two of 'offset'"),
    "no offset": (lambda t: t.external_data.pop(1), "not in a range"),
    "nothing at all": (lambda t: t.ClearField("external_data"), "not in a range"),
    "not said to be elsewhere": (lambda t: t.ClearField("data_location"), "0 times"),
    "data in the graph, too": (put(raw_data=b"x" * 36), "fields [9], too"),
    "numbers in the graph, too": (put(int32_data=[1]), "fields [5], too"),
    "the bytes of its neighbour": (say("offset", "20"), "belong to two tensors"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_where_it_is_said_to_be_is_refused(thin: tuple[bytes, bytes], case: str) -> None:
    change, reason = REFUSED[case]
    assert [e.value for e in onnx.ModelProto.FromString(thin[0]).graph.initializer[0].external_data][1:] == [
        "0",
        "36",
    ]
    with pytest.raises(Misplaced) as error:
        joined(changed(thin[0], change), thin[1])
    assert reason in str(error.value)


def test_no_bytes_are_used_twice_by_one_graph_so_that_it_stays_small(thin: tuple[bytes, bytes]) -> None:
    model = onnx.ModelProto.FromString(thin[0])
    model.graph.initializer.append(model.graph.initializer[0])
    with pytest.raises(Misplaced, match=r"bytes 0 to 36 of weights\.bin belong to two tensors"):
        joined(model.SerializeToString(), thin[1])


def test_two_graphs_may_use_the_same_bytes_if_they_mean_the_same_tensor(thin: tuple[bytes, bytes]) -> None:
    first = places(thin[0])
    check_alike([first, first])
    other = places(changed(thin[0], lambda tensor: tensor.dims.reverse()))
    check_apart(other)
    with pytest.raises(Misplaced, match="two tensors"):
        check_alike([first, other])


def test_what_is_elsewhere_anywhere_but_in_the_outermost_graph_is_left_to_be_found(
    thin: tuple[bytes, bytes],
) -> None:
    model = onnx.ModelProto.FromString(thin[0])
    inner = helper.make_graph([], "b", [], [], initializer=[model.graph.initializer[0]])
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner))
    assert has_external_data(joined(model.SerializeToString(), thin[1]))


def test_a_graph_in_two_parts_is_read_as_protobuf_reads_it(thin: tuple[bytes, bytes]) -> None:
    """A message that is there twice is one: the initializers of both parts are its own."""
    other = helper.make_model(helper.make_graph([], "g", [], [], initializer=[]))
    data = other.SerializeToString() + thin[0]
    assert not has_external_data(joined(data, thin[1]))
    read = onnx.ModelProto.FromString(joined(data, thin[1]))
    assert [tensor.raw_data for tensor in read.graph.initializer] == [
        tensor.raw_data for tensor in graph().graph.initializer
    ]


@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_whatever_is_damaged_it_is_refused_or_whole(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    data, weights = apart(tmp_path_factory.mktemp("x"))
    damaged = bytearray(data)
    damaged[at % len(data)] = byte
    with contextlib.suppress(Damaged, Misplaced):
        whole = joined(bytes(damaged), weights)
        assert len(whole) <= len(data) + len(weights)
        with contextlib.suppress(Exception):
            read = onnx.ModelProto.FromString(whole)
            assert not any(tensor.external_data for tensor in read.graph.initializer)
