"""Small ONNX graphs, built node by node, and bundles around them.

`encode` is a GRU over tokens that can go on from its state; `step` is a tanh cell that attends to what `encode` wrote
and ranks the vocabulary.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

VOCABULARY, HIDDEN, PAD = 12, 8, 16
TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
ENCODE: dict[str, Any] = {
    "file": "encode.onnx",
    "inputs": [
        {"name": "tokens", "tensor": "tokens", "dtype": "int64", "axes": ["batch", "time"], "role": "input"},
        {
            "name": "lengths",
            "tensor": "lengths",
            "dtype": "int64",
            "axes": ["batch"],
            "role": "lengths",
            "of": "time",
        },
        {"name": "read", "tensor": "read_in", "dtype": "float32", "axes": ["batch", HIDDEN], "role": "state"},
    ],
    "outputs": [
        {
            "name": "memory",
            "tensor": "memory",
            "dtype": "float32",
            "axes": ["batch", "time", HIDDEN],
            "role": "context",
        },
        {
            "name": "read",
            "tensor": "read_out",
            "dtype": "float32",
            "axes": ["batch", HIDDEN],
            "role": "state",
        },
    ],
}
STEP: dict[str, Any] = {
    "file": "step.onnx",
    "inputs": [
        {"name": "token", "tensor": "token", "dtype": "int64", "axes": ["batch"], "role": "input"},
        {"name": "k", "tensor": "k", "dtype": "int64", "axes": [], "role": "size", "of": "k"},
        {
            "name": "written",
            "tensor": "in",
            "dtype": "float32",
            "axes": ["batch", HIDDEN],
            "role": "state",
            "initial": 0.5,
        },
        {
            "name": "memory",
            "tensor": "memory",
            "dtype": "float32",
            "axes": ["batch", "source", HIDDEN],
            "role": "context",
        },
        {
            "name": "n",
            "tensor": "lengths",
            "dtype": "int64",
            "axes": ["batch"],
            "role": "lengths",
            "of": "source",
        },
    ],
    "outputs": [
        {
            "name": "top_tokens",
            "tensor": "tokens",
            "dtype": "int64",
            "axes": ["batch", "k"],
            "role": "output",
        },
        {
            "name": "top_log_probs",
            "tensor": "log_probs",
            "dtype": "float32",
            "axes": ["batch", "k"],
            "role": "output",
        },
        {"name": "written", "tensor": "out", "dtype": "float32", "axes": ["batch", HIDDEN], "role": "state"},
    ],
    "pad": {"source": PAD},
}


def write_bundle(folder: Path, tokenizer: str = "{}", **parts: Any) -> Path:
    """Write the bundle `toy/1` into a folder; `parts` replace parts of its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "encode.onnx").write_bytes(encode_graph())
    (folder / "step.onnx").write_bytes(step_graph())
    (folder / "tokenizer.json").write_text(tokenizer)
    manifest = {
        "format": 1,
        "name": "toy",
        "version": "1",
        "task": "translate",
        "source_language": "es",
        "target_language": "en",
        "streams": True,
        "graphs": {"encode": ENCODE, "step": STEP},
    }
    return seal(folder, manifest | parts)


def seal(folder: Path, manifest: dict[str, Any]) -> Path:
    """Write the manifest with the hashes of what lies in the folder."""
    files = [p for p in folder.iterdir() if p.name != "manifest.json"]
    hashes = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files if p.is_file()}
    (folder / "manifest.json").write_text(json.dumps({"files": hashes} | manifest))
    return folder


def encode_graph() -> bytes:
    """embedding[tokens] → GRU, from `read_in`, each row to its own length."""
    nodes = [
        ("Gather", ["embedding", "tokens"], ["embedded"], {}),
        ("Transpose", ["embedded"], ["by_time"], {"perm": [1, 0, 2]}),
        ("Cast", ["lengths"], ["lengths32"], {"to": TensorProto.INT32}),
        ("Unsqueeze", ["read_in", "zero"], ["before"], {}),
        ("GRU", ["by_time", "w", "r", "", "lengths32", "before"], ["all", "last"], {"hidden_size": HIDDEN}),
        ("Squeeze", ["all", "one"], ["states"], {}),
        ("Transpose", ["states"], ["memory"], {"perm": [1, 0, 2]}),
        ("Squeeze", ["last", "zero"], ["read_out"], {}),
    ]
    weights = {
        "embedding": _random(VOCABULARY, HIDDEN),
        "w": _random(1, 3 * HIDDEN, HIDDEN),
        "r": _random(1, 3 * HIDDEN, HIDDEN),
        "zero": np.array([0]),
        "one": np.array([1]),
    }
    return _model(ENCODE, nodes, weights)


def step_graph() -> bytes:
    """out = tanh((in + embedding[token])·W + context); tokens ranked by log softmax of out·V."""
    nodes = [
        ("Gather", ["embedding", "token"], ["embedded"], {}),
        ("Unsqueeze", ["in", "two"], ["query"], {}),
        ("MatMul", ["memory", "query"], ["products"], {}),
        ("Squeeze", ["products", "two"], ["scores"], {}),
        ("Shape", ["memory"], ["longest"], {"start": 1, "end": 2}),
        ("Squeeze", ["longest", "zero"], ["end"], {}),
        ("Range", ["first", "end", "by"], ["places"], {}),
        ("Unsqueeze", ["lengths", "one"], ["ends"], {}),
        ("Less", ["places", "ends"], ["real"], {}),
        ("Where", ["real", "scores", "never"], ["masked"], {}),
        ("Softmax", ["masked"], ["weights"], {"axis": 1}),
        ("Unsqueeze", ["weights", "one"], ["row"], {}),
        ("MatMul", ["row", "memory"], ["weighted"], {}),
        ("Squeeze", ["weighted", "one"], ["context"], {}),
        ("Add", ["in", "embedded"], ["sum"], {}),
        ("MatMul", ["sum", "w"], ["moved"], {}),
        ("Add", ["moved", "context"], ["inside"], {}),
        ("Tanh", ["inside"], ["out"], {}),
        ("MatMul", ["out", "v"], ["logits"], {}),
        ("LogSoftmax", ["logits"], ["all"], {"axis": 1}),
        ("Unsqueeze", ["k", "zero"], ["many"], {}),
        ("TopK", ["all", "many"], ["log_probs", "tokens"], {"axis": 1}),
    ]
    weights = {
        "embedding": _random(VOCABULARY, HIDDEN),
        "w": _random(HIDDEN, HIDDEN),
        "v": _random(HIDDEN, VOCABULARY),
        "never": np.array(-1e9, np.float32),
        "first": np.array(0),
        "by": np.array(1),
        **{name: np.array([value]) for value, name in enumerate(("zero", "one", "two"))},
    }
    return _model(STEP, nodes, weights)


def _model(spec: dict[str, Any], nodes: list[Any], weights: dict[str, Any]) -> bytes:
    graph = helper.make_graph(
        [helper.make_node(op, inputs, outputs, **attributes) for op, inputs, outputs, attributes in nodes],
        "toy",
        [helper.make_tensor_value_info(t["tensor"], TYPES[t["dtype"]], t["axes"]) for t in spec["inputs"]],
        [helper.make_tensor_value_info(t["tensor"], TYPES[t["dtype"]], t["axes"]) for t in spec["outputs"]],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _random(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)
