"""A graph's inputs and outputs, declared once for the ONNX file and for the manifest."""

from collections.abc import Sequence
from typing import Literal

from service.bundle.manifest import GraphSpec, Role, TensorSpec
from training.export.graph import Graph, Value
from training.export.recurrence import Stack

DType = Literal["float32", "int64"]
STATE_NAMES = ("h", "c")


class Signature:
    """Collects the tensors of one graph while it is written."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._inputs: list[TensorSpec] = []
        self._outputs: list[TensorSpec] = []

    def input(self, name: str, dtype: DType, axes: tuple[str | int, ...], role: Role = "input") -> Value:
        """An input or context of the step."""
        return self._take(TensorSpec(name=name, tensor=name, dtype=dtype, axes=axes, role=role))

    def lengths(self, name: str, of: str) -> Value:
        """Each row's length of the ragged axis `of`: [batch]."""
        return self._take(
            TensorSpec(name=name, tensor=name, dtype="int64", axes=("batch",), role="lengths", of=of)
        )

    def size(self, name: str, of: str, optional: bool = False) -> Value:
        """The size of the outputs' axis `of`, one number for the batch."""
        spec = TensorSpec(
            name=name, tensor=name, dtype="int64", axes=(), role="size", of=of, optional=optional
        )
        return self._take(spec)

    def state(self, name: str, size: int, initial: float = 0.0) -> Value:
        """A state that comes in: [batch, size]."""
        axes = ("batch", size)
        return self._take(
            TensorSpec(name=name, tensor=name, dtype="float32", axes=axes, role="state", initial=initial)
        )

    def states_in(self, prefix: str, stack: Stack) -> list[list[Value]]:
        """The state of a stack, by layer: `encoder_h_0`, `encoder_c_0`, `encoder_h_1`, …"""
        return [[self.state(name, stack.hidden) for name in names] for names in _names(prefix, stack)]

    def output(
        self,
        name: str,
        value: Value,
        axes: tuple[str | int, ...],
        role: Role = "output",
        dtype: DType = "float32",
        initial: float = 0.0,
    ) -> None:
        """What the graph returns; a state's tensor is called `next_…` so that it differs from the one that came in."""
        tensor = f"next_{name}" if role == "state" else name
        self._outputs.append(
            TensorSpec(name=name, tensor=tensor, dtype=dtype, axes=axes, role=role, initial=initial)
        )
        self.graph.output(value, tensor, dtype, axes)

    def states_out(self, prefix: str, state: Sequence[Sequence[Value]], stack: Stack) -> None:
        """The state of a stack, by layer, after the graph has run."""
        for names, tensors in zip(_names(prefix, stack), state, strict=True):
            for name, tensor in zip(names, tensors, strict=True):
                self.output(name, tensor, ("batch", stack.hidden), role="state")

    def spec(self, file: str, pad: dict[str, int] | None = None) -> GraphSpec:
        """The manifest's part about this graph."""
        return GraphSpec(file=file, inputs=tuple(self._inputs), outputs=tuple(self._outputs), pad=pad or {})

    def _take(self, tensor: TensorSpec) -> Value:
        self._inputs.append(tensor)
        return self.graph.input(tensor.tensor, tensor.dtype, tensor.axes)


def _names(prefix: str, stack: Stack) -> list[list[str]]:
    return [
        [f"{prefix}_{STATE_NAMES[n]}_{layer}" for n in range(stack.num_states)]
        for layer in range(len(stack.layers))
    ]
