"""Recurrent models as others write them: with ONNX's own operators, by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HIDDEN, FEATURES = 12, 6
NUM_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
Tensors = Sequence[Any]
"""Name, type and shape of each."""


def write_operator(folder: Path, operator: str, *, two_way: bool = False) -> Path:
    """`[time, batch, features]`, as ONNX has it: X, initial_h (initial_c) → Y, Y_h (Y_c)."""
    ways = 2 if two_way else 1
    gates = NUM_GATES[operator] * HIDDEN
    state = (TensorProto.FLOAT, [ways, "N", HIDDEN])
    letters = ["h", "c"] if operator == "LSTM" else ["h"]
    before, after = [f"initial_{each}" for each in letters], [f"Y_{each}" for each in letters]
    node = helper.make_node(
        operator,
        ["X", "W", "R", "", "", *before],
        ["Y", *after],
        hidden_size=HIDDEN,
        direction="bidirectional" if two_way else "forward",
    )
    return _write(
        folder / f"{operator.lower()}.onnx",
        [node],
        [("X", TensorProto.FLOAT, ["seq", "N", FEATURES]), *((name, *state) for name in before)],
        [("Y", TensorProto.FLOAT, ["seq", ways, "N", HIDDEN]), *((name, *state) for name in after)],
        {"W": _random(ways, gates, FEATURES), "R": _random(ways, gates, HIDDEN)},
    )


def write_sum(
    folder: Path, *, batch: int | str | None = "n", names: Sequence[str] = ("sum_in", "sum_out")
) -> Path:
    """A running sum: numbers (int32) and a state of float64 → the total and the next state, `[batch, 1]`."""
    before, after = names
    nodes = [
        helper.make_node("Cast", ["numbers"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Add", ["wide", before], [after]),
        helper.make_node("Cast", [after], ["total"], to=TensorProto.INT32),
    ]
    shape = [batch, 1]
    return _write(
        folder / "sum.onnx",
        nodes,
        [("numbers", TensorProto.INT32, shape), (before, TensorProto.DOUBLE, shape)],
        [("total", TensorProto.INT32, shape), (after, TensorProto.DOUBLE, shape)],
        {},
    )


def write_mixing(folder: Path) -> Path:
    """Every row gets the mean of its batch: no session could be told what it will be answered."""
    shape = ["n", FEATURES]
    nodes = [
        helper.make_node("Add", ["x", "state_in"], ["s"]),
        helper.make_node("ReduceMean", ["s"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Add", ["s", "mean"], ["state_out"]),
        helper.make_node("Identity", ["s"], ["y"]),
    ]
    before, after = (
        [(name, TensorProto.FLOAT, shape) for name in names]
        for names in (("x", "state_in"), ("y", "state_out"))
    )
    return _write(folder / "mixing.onnx", nodes, before, after, {})


def _write(
    path: Path, nodes: Sequence[Any], inputs: Tensors, outputs: Tensors, weights: Mapping[str, Any]
) -> Path:
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info(*tensor) for tensor in inputs],
        [helper.make_tensor_value_info(*tensor) for tensor in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def _random(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(sum(shape)).normal(size=shape, scale=0.4).astype(np.float32)
