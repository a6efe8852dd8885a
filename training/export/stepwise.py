"""The graph of a model that says something at every step of a sequence of features.

    hear, predict   features [batch, time, dim], lengths [batch], the stack's state if it reads one way
                    → log_probs [batch, time, size] or forecast [batch, time, dim], the stack's state

Features may be of any size, so their rows are measured before a product in eight bits. No number of one step bears on
another but through the state.
"""

from service.bundle.manifest import GraphSpec
from training.config import StepwiseSection
from training.export.arithmetic import Arithmetic
from training.export.cells import weights_of
from training.export.graph import Graph, Value
from training.export.recurrence import Rows, Stack
from training.export.signal import Signal
from training.export.tensors import Signature
from training.export.traces import trace
from training.models.stepwise import Stepwise


class StepwiseGraphs:
    """Writes the graph of `model`, called `name`, with the products of `numbers`."""

    def __init__(
        self, name: str, model: Stepwise, section: StepwiseSection, numbers: Arithmetic, traces: bool = False
    ) -> None:
        self._name, self._model, self._numbers, self._traces = name, model, numbers, traces
        self._stack = Stack(section.encoder.cell, model.recurrence)
        self._dim = model.dim
        self._size = model.output.out_features

    @property
    def streams(self) -> bool:
        """Whether features can be read in chunks."""
        return self._stack.directions == 1

    def graphs(self) -> dict[str, tuple[Graph, GraphSpec]]:
        """All graphs by name."""
        return {self._name: self._graph()}

    def _graph(self) -> tuple[Graph, GraphSpec]:
        graph, numbers = Graph(self._name), self._numbers
        sign = Signature(graph)
        features = sign.input("features", "float32", ("batch", "time", self._dim))
        lengths = sign.lengths("lengths", of="time")
        state = sign.states_in("encoder", self._stack) if self.streams else None
        turned = graph.op("Transpose", features, perm=[1, 0, 2])
        rows = Rows.of(graph, turned, lengths)
        run = self._stack.scan(graph, numbers, Signal(numbers, floats=turned), rows, state)
        said = self._said(
            graph, turned, numbers.linear(graph, run.outputs.factor(graph), weights_of(self._model.output))
        )
        name = "forecast" if self._model.changes else "log_probs"
        sign.output(name, graph.op("Transpose", said, perm=[1, 0, 2]), ("batch", "time", self._size))
        if self.streams:
            sign.states_out("encoder", run.state, self._stack)
        if self._traces:
            trace(sign, numbers, "encoder", run, time="time")
        return graph, sign.spec(f"{self._name}.onnx")

    def _said(self, graph: Graph, features: Value, outputs: Value) -> Value:
        """[time, batch, size]."""
        if self._model.changes:
            return graph.op("Add", features, outputs)
        return graph.op("LogSoftmax", outputs, axis=-1)
