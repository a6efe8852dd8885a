"""An ONNX graph, written node by node.

The graphs are built from the weights rather than traced: every product is ours to choose (and so exact, see
`arithmetic`), weights stay plain initializers, and no axis is frozen by an example input.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 21
IR_VERSION = 10
CONTRIB = "com.microsoft"
"""ONNX Runtime's own operators."""

SMALL = 16
"""Elements of a constant that is not worth being kept once."""

Value = str
"""A value in a graph is known by its name."""

ELEMENTS = {
    "float32": TensorProto.FLOAT,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "bool": TensorProto.BOOL,
}


class Graph:
    """Nodes in order. Names never collide, not even between a graph and the bodies inside it."""

    def __init__(self, name: str, parent: "Graph | None" = None) -> None:
        self.name = name
        self._parent = parent
        self._counts: dict[str, int] = parent._counts if parent else {}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[Any, tuple[Value, Any]] = {}
        self._initializers: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: Value, dtype: str, axes: Sequence[str | int]) -> Value:
        """Declare an input; `axes` are names or sizes."""
        self._inputs.append(helper.make_tensor_value_info(name, ELEMENTS[dtype], list(axes)))
        return name

    def output(self, value: Value, name: Value, dtype: str, axes: Sequence[str | int]) -> None:
        """Declare `value` an output called `name`."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, ELEMENTS[dtype], list(axes)))

    def constant(self, array: Any, dtype: Any = None, name: str = "constant") -> Value:
        """An initializer; equal small ones are kept once, large ones once for each array object.

        A large one of a graph inside another is the outer one's: so weights that several bodies use are stored once.
        """
        array = np.asarray(array, dtype)
        if self._parent and array.size > SMALL:
            return self._parent.constant(array, name=name)
        key = (array.dtype.str, array.shape, array.tobytes() if array.size <= SMALL else id(array))
        if key not in self._constants:
            value = self.fresh(name)
            self._initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), value))
            self._constants[key] = value, array  # kept alive, so that its id stays its own
        return self._constants[key][0]

    def op(self, kind: str, *inputs: Value, **attributes: Any) -> Value:
        """A node with one output."""
        return self.split(kind, *inputs, outputs=1, **attributes)[0]

    def split(self, kind: str, *inputs: Value, outputs: int, **attributes: Any) -> list[Value]:
        """A node with several outputs."""
        names = [self.fresh(kind.lower()) for _ in range(outputs)]
        self._nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names

    def body(self, name: str) -> "Graph":
        """A graph inside this one, such as the body of a Scan; it sees this one's values."""
        return Graph(self.fresh(name), parent=self)

    def proto(self) -> onnx.GraphProto:
        """The graph alone."""
        return helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, self._initializers)

    def serialized(self) -> bytes:
        """The bytes of its file; equal graphs have equal bytes."""
        return self.model().SerializeToString(deterministic=True)

    def model(self) -> onnx.ModelProto:
        """The graph as a checked ONNX model."""
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        model = helper.make_model(
            self.proto(), opset_imports=opsets, ir_version=IR_VERSION, producer_name="seqserve"
        )
        onnx.checker.check_model(model)
        return model

    def fresh(self, stem: str) -> Value:
        """A name that nothing has."""
        self._counts[stem] = self._counts.get(stem, 0) + 1
        return f"{stem}_{self._counts[stem]}"
