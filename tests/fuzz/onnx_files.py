"""ONNX files: what is looked for in their bytes is found exactly where the onnx library would find it, too."""

from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError, Message

from service.bundle.messages import Damaged
from service.engine.onnx_file import MAX_DEPTH, has_external_data
from tests.fakes.toy_graphs import encode_graph, step_graph
from tests.fuzz.target import Target


def read(data: bytes) -> None:
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError:
        model = None
    try:
        found = has_external_data(data)
    except Damaged:
        assert model is None or depth(model) > MAX_DEPTH or has_groups(data), "a file that can be read"
        return
    assert model is None or found or not looks_elsewhere(model), "data in another file were overlooked"


def looks_elsewhere(message: Message) -> bool:
    """Whether any tensor of the message has its data elsewhere, as the library reads it."""
    if isinstance(message, onnx.TensorProto):
        return bool(message.external_data) or message.data_location == onnx.TensorProto.EXTERNAL
    return any(map(looks_elsewhere, parts(message)))


def depth(message: Message) -> int:
    return 1 + max(map(depth, parts(message)), default=0)


def parts(message: Message) -> Iterator[Message]:
    for field, value in message.ListFields():
        if field.message_type:
            yield from value if field.is_repeated else (value,)


def has_groups(data: bytes) -> bool:
    """Whether unknown groups may stand in it, which the library steps over and ONNX has none of."""
    return any(byte & 7 in (3, 4) for byte in data)


def seeds() -> Iterator[bytes]:
    yield encode_graph()
    yield step_graph()
    tensor = onnx.TensorProto(dims=[1], data_type=1, name="w", data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="x")
    inner = onnx.helper.make_graph([], "b", [], [], initializer=[tensor])
    sparse = onnx.SparseTensorProto(values=tensor, indices=tensor, dims=[4])
    for node in (
        onnx.helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner),
        onnx.helper.make_node("Constant", [], ["y"], value=tensor),
        onnx.helper.make_node("Constant", [], ["y"], sparse_value=sparse),
    ):
        model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], []))
        model.functions.add(name="f", domain="d").node.append(node)
        model.training_info.add().algorithm.CopyFrom(inner)
        yield model.SerializeToString()


TARGET = Target("onnx_files", read, seeds, words=(b"\x70\x01", b"\x6a\x00", b"\x2a", b"\x3a", b"\xff" * 9))
