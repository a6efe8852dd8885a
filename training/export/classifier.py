"""The graph of a classifier.

    classify   tokens [batch, time], lengths [batch], the encoder's state if it reads one way
               → log_probs [batch, labels] of the text so far, the encoder's state

Pooling goes on from chunk to chunk, too, and so does the counting of words.
"""

from service.bundle.manifest import GraphSpec
from training.config import ClassifierSection
from training.export.arithmetic import Arithmetic, Factor, Weights
from training.export.cells import weights_of
from training.export.graph import Graph
from training.export.pooling import pooled
from training.export.recurrence import Rows, Run, Stack
from training.export.signal import Signal
from training.export.tensors import Signature
from training.export.traces import trace
from training.export.word_counts import told
from training.models.classifier import Classifier


class ClassifierGraphs:
    """Writes the graph of `model` with the products of `numbers`."""

    def __init__(
        self, model: Classifier, section: ClassifierSection, numbers: Arithmetic, traces: bool = False
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
        return {"classify": self.classify()}

    def classify(self) -> tuple[Graph, GraphSpec]:
        """The graph that reads a text, or more of it, and labels what it has read."""
        graph = Graph("classify")
        sign = Signature(graph)
        tokens = sign.input("tokens", "int64", ("batch", "time"))
        lengths = sign.lengths("lengths", of="time")
        state = sign.states_in("encoder", self._encoder) if self.streams else None
        turned = graph.op("Transpose", tokens, perm=[1, 0])
        rows = Rows.of(graph, turned, lengths)
        x = Signal(self._numbers, factor=self._numbers.lookup(graph, turned, self._table))
        run = self._encoder.scan(graph, self._numbers, x, rows, state)
        logits = self._numbers.linear(graph, self._pool(sign, run, rows), weights_of(self._model.output))
        if self._model.counts is not None:
            logits = graph.op("Add", logits, told(sign, self._model.counts, turned, rows, self.streams))
        sign.output(
            "log_probs", graph.op("LogSoftmax", logits, axis=-1), ("batch", self._model.output.out_features)
        )
        if self.streams:
            sign.states_out("encoder", run.state, self._encoder)
        if self._traces:
            trace(sign, self._numbers, "encoder", run, time="time")
        return graph, sign.spec("classify.onnx")

    def _pool(self, sign: Signature, run: Run, rows: Rows) -> Factor:
        """One vector per text: [batch, directions * hidden]."""
        if self._model.pooling == "last":
            return run.top.factor(sign.graph)
        return pooled(sign, self._numbers, self._encoder, run, rows)
