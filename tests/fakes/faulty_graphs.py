"""A real bundle whose real graph fails on demand: a word makes it answer NaN, throw, want more memory than there is,
or never end.

It classifies like the toy of `toy_translator`: the label is the sum of the tokens so far modulo 3.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from service.bundle.manifest import GraphSpec, Limits, TensorSpec
from tests.fakes.toy_bundles import LABELS, SPANISH, toy_tokenizer
from tests.fakes.toy_graphs import seal

HUGE, ENDLESS, NAN, THROWS = "siete", "ocho", "nueve", "diez"
_FIRST = 4
"""The token of the first Spanish word."""


def write_faulty(models: Path, name: str = "faulty", version: str = "1") -> Path:
    """Write the bundle; words that are harmless: uno … seis."""
    folder = models / name / version
    folder.mkdir(parents=True)
    (folder / "classify.onnx").write_bytes(_graph())
    (folder / "tokenizer.json").write_text(toy_tokenizer().to_json(), encoding="utf-8")
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")
    spec = GraphSpec(file="classify.onnx", inputs=_INPUTS, outputs=_OUTPUTS)
    return seal(
        folder,
        {
            "format": 1,
            "name": name,
            "version": version,
            "task": "classify",
            "source_language": "es",
            "streams": True,
            "labels": "labels.txt",
            "limits": Limits(max_input_tokens=1000).model_dump(),
            "graphs": {"classify": spec.model_dump(mode="json")},
        },
    )


def _tensor(
    name: str, tensor: str, dtype: Any, axes: tuple[str | int, ...], role: Any, **more: Any
) -> TensorSpec:
    return TensorSpec(name=name, tensor=tensor, dtype=dtype, axes=axes, role=role, **more)


_INPUTS = (
    _tensor("tokens", "tokens", "int64", ("batch", "time"), "input"),
    _tensor("lengths", "lengths", "int64", ("batch",), "lengths", of="time"),
    _tensor("total", "total_in", "int64", ("batch", 1), "state"),
)
_OUTPUTS = (
    _tensor("log_probs", "log_probs", "float32", ("batch", len(LABELS)), "output"),
    _tensor("total", "total_out", "int64", ("batch", 1), "state"),
)


def _graph() -> bytes:
    """log_probs = table[total_out modulo 3]; what the three words do is added to it, to the index, and to a loop."""
    node = helper.make_node
    nodes = [
        node("ReduceSum", ["tokens", "time"], ["read"], keepdims=1),
        node("Add", ["total_in", "read"], ["total_out"]),
        node("Mod", ["total_out", "three"], ["column"]),
        node("Squeeze", ["column", "time"], ["label"]),
        *_said("throws", THROWS),
        node("Where", ["throws", "far", "label"], ["row"]),
        node("Gather", ["table", "row"], ["known"]),
        *_said("nan", NAN),
        node("Where", ["nan", "below", "above"], ["sign"]),
        node("Log", ["sign"], ["nothing"]),
        node("Unsqueeze", ["nothing", "time"], ["nothings"]),
        *_said("endless", ENDLESS),
        node("Cast", ["endless"], ["turning"], to=TensorProto.INT64),
        node("ReduceMax", ["turning"], ["turns"], keepdims=0),
        node("Mul", ["turns", "many"], ["trips"]),
        node("Loop", ["trips", "", "zero"], ["turned"], body=_body()),
        node("Cast", ["turned"], ["added"], to=TensorProto.FLOAT),
        *_said("huge", HUGE),
        node("Cast", ["huge"], ["much"], to=TensorProto.INT64),
        node("ReduceMax", ["much"], ["most"], keepdims=1),
        node("Mul", ["most", "terabytes"], ["size"]),
        node("Add", ["size", "time"], ["room"]),
        node("ConstantOfShape", ["room"], ["zeros"]),
        node("ReduceSum", ["zeros"], ["nothing_more"], keepdims=0),
        node("Add", ["known", "nothings"], ["found"]),
        node("Add", ["found", "added"], ["found_too"]),
        node("Add", ["found_too", "nothing_more"], ["log_probs"]),
    ]
    weights = {
        "time": np.array([1]),
        "three": np.array(len(LABELS)),
        "far": np.array(10**6),
        "below": np.array(-1.0, np.float32),
        "above": np.array(1.0, np.float32),
        "many": np.array(2**60),
        "zero": np.array(0),
        "terabytes": np.array([2**42]),
        "table": np.log(np.stack([np.roll([0.5, 0.375, 0.125], by) for by in range(3)])).astype(np.float32),
        **{f"{word}_token": np.array(_FIRST + SPANISH.index(word)) for word in (HUGE, ENDLESS, NAN, THROWS)},
    }
    graph = helper.make_graph(
        nodes,
        "faulty",
        [_value(tensor) for tensor in _INPUTS],
        [_value(tensor) for tensor in _OUTPUTS],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _said(name: str, word: str) -> list[Any]:
    """`name`: whether each row holds the word, `[batch]`."""
    node = helper.make_node
    return [
        node("Equal", ["tokens", f"{word}_token"], [f"{name}_at"]),
        node("Cast", [f"{name}_at"], [f"{name}_ints"], to=TensorProto.INT64),
        node("ReduceMax", [f"{name}_ints", "time"], [f"{name}_any"], keepdims=0),
        node("Cast", [f"{name}_any"], [name], to=TensorProto.BOOL),
    ]


def _body() -> Any:
    """One turn, which changes nothing."""
    turn = helper.make_tensor_value_info("turn", TensorProto.INT64, [])
    go_on = helper.make_tensor_value_info("go_on", TensorProto.BOOL, [])
    value = helper.make_tensor_value_info("value", TensorProto.INT64, [])
    goes_on = helper.make_tensor_value_info("goes_on", TensorProto.BOOL, [])
    values = helper.make_tensor_value_info("values", TensorProto.INT64, [])
    nodes = [
        helper.make_node("Identity", ["go_on"], ["goes_on"]),
        helper.make_node("Identity", ["value"], ["values"]),
    ]
    return helper.make_graph(nodes, "turn", [turn, go_on, value], [goes_on, values])


def _value(tensor: TensorSpec) -> Any:
    types = {"int64": TensorProto.INT64, "float32": TensorProto.FLOAT}
    return helper.make_tensor_value_info(tensor.tensor, types[tensor.dtype], list(tensor.axes))
