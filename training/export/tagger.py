"""The graph of a model that labels words.

tag   tokens [batch, time], lengths [batch], the encoder's state if it reads one way
      → log_probs [batch, time, labels]: a word's label stands at its last token,
        text_log_probs [batch, text_labels] of the text so far, where texts have labels, the encoder's state
"""

from torch import nn

from service.bundle.manifest import GraphSpec
from training.config import TaggerSection
from training.export.arithmetic import Arithmetic, Factor, Weights
from training.export.cells import weights_of
from training.export.graph import Graph, Value
from training.export.pooling import pooled
from training.export.recurrence import Rows, Stack
from training.export.signal import Signal
from training.export.tensors import Signature
from training.export.traces import trace
from training.models.tagger import Tagger


class TaggerGraphs:
    """Writes the graph of `model` with the products of `numbers`."""

    def __init__(
        self, model: Tagger, section: TaggerSection, numbers: Arithmetic, traces: bool = False
    ) -> None:
        self._model, self._numbers, self._traces = model, numbers, traces
        self._encoder = Stack(section.encoder.cell, model.encoder.recurrence)
        self._table = Weights(model.encoder.embedding.weight.detach().float().numpy())

    @property
    def streams(self) -> bool:
        """Whether a text can be read in chunks."""
        return self._encoder.directions == 1

    def graphs(self) -> dict[str, tuple[Graph, GraphSpec]]:
        """All graphs by name."""
        return {"tag": self.tag()}

    def tag(self) -> tuple[Graph, GraphSpec]:
        """The graph that reads a text, or more of it, and labels each position."""
        graph, numbers = Graph("tag"), self._numbers
        sign = Signature(graph)
        tokens = sign.input("tokens", "int64", ("batch", "time"))
        lengths = sign.lengths("lengths", of="time")
        state = sign.states_in("encoder", self._encoder) if self.streams else None
        turned = graph.op("Transpose", tokens, perm=[1, 0])
        rows = Rows.of(graph, turned, lengths)
        x = Signal(numbers, factor=numbers.lookup(graph, turned, self._table))
        run = self._encoder.scan(graph, numbers, x, rows, state)
        by_time = self._log_probs(graph, run.outputs.factor(graph), self._model.output)
        log_probs = graph.op("Transpose", by_time, perm=[1, 0, 2])
        sign.output("log_probs", log_probs, ("batch", "time", self._model.output.out_features))
        if (output := self._model.text_output) is not None:
            largest = pooled(sign, numbers, self._encoder, run, rows)
            text = self._log_probs(graph, largest.factor(graph), output)
            sign.output("text_log_probs", text, ("batch", output.out_features))
        if self.streams:
            sign.states_out("encoder", run.state, self._encoder)
        if self._traces:
            trace(sign, numbers, "encoder", run, time="time")
        return graph, sign.spec("tag.onnx")

    def _log_probs(self, graph: Graph, x: Factor, output: nn.Linear) -> Value:
        return graph.op("LogSoftmax", self._numbers.linear(graph, x, weights_of(output)), axis=-1)
