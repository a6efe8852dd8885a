"""The graph of a classifier.

    classify   tokens [batch, time], lengths [batch], the encoders' state if they read one way
               → log_probs [batch, labels] of the text so far, the encoders' state

Pooling goes on from chunk to chunk, too, and so does the counting of words.
"""

from collections.abc import Sequence

import numpy as np

from service.bundle.manifest import GraphSpec
from training.config import ClassifierSection
from training.export.arithmetic import Arithmetic, Weights
from training.export.cells import weights_of
from training.export.graph import Graph, Value
from training.export.pooling import LARGEST, pooled
from training.export.recurrence import Rows, Run, Stack
from training.export.signal import Signal
from training.export.tensors import Signature
from training.export.traces import trace
from training.export.word_counts import told
from training.models.classifier import Classifier, Member


class ClassifierGraphs:
    """Writes the graph of `model` with the products of `numbers`."""

    def __init__(
        self, model: Classifier, section: ClassifierSection, numbers: Arithmetic, traces: bool = False
    ) -> None:
        self._model, self._numbers, self._traces = model, numbers, traces
        self._members = [
            MemberNodes(member, section, numbers, n) for n, member in enumerate(model.members, 1)
        ]

    @property
    def streams(self) -> bool:
        """Whether a text can be read in chunks."""
        return self._members[0].streams

    def graphs(self) -> dict[str, tuple[Graph, GraphSpec]]:
        """All graphs by name."""
        return {"classify": self.classify()}

    def classify(self) -> tuple[Graph, GraphSpec]:
        """The graph that reads a text, or more of it, and labels what it has read."""
        graph = Graph("classify")
        sign = Signature(graph)
        tokens = sign.input("tokens", "int64", ("batch", "time"))
        lengths = sign.lengths("lengths", of="time")
        turned = graph.op("Transpose", tokens, perm=[1, 0])
        rows = Rows.of(graph, turned, lengths)
        runs = [member.run(sign, turned, rows) for member in self._members]
        logits = self._mean(graph, [logits for logits, _ in runs])
        if self._model.counts is not None:
            logits = graph.op("Add", logits, told(sign, self._model.counts, turned, rows, self.streams))
        sign.output(
            "log_probs", graph.op("LogSoftmax", logits, axis=-1), ("batch", self._model.output.out_features)
        )
        if self._traces:  # of the first member: others are like it
            trace(sign, self._numbers, "encoder", runs[0][1], time="time")
        return graph, sign.spec("classify.onnx")

    def _mean(self, graph: Graph, each: Sequence[Value]) -> Value:
        total = each[0]
        for logits in each[1:]:
            total = graph.op("Add", total, logits)
        if len(each) == 1:
            return total
        return graph.op("Mul", total, graph.constant(1 / len(each), np.float32))


class MemberNodes:
    """One member: tokens to logits."""

    def __init__(self, member: Member, section: ClassifierSection, numbers: Arithmetic, number: int) -> None:
        self._member, self._numbers = member, numbers
        self._encoder = Stack(section.encoder.cell, member.encoder.recurrence)
        self._table = Weights(member.encoder.embedding.weight.detach().float().numpy())
        self._ending = f"_{number}" if number > 1 else ""

    @property
    def streams(self) -> bool:
        """Whether it can read on."""
        return self._encoder.directions == 1

    def run(self, sign: Signature, tokens: Value, rows: Rows) -> tuple[Value, Run]:
        """Logits [batch, labels] of `tokens` [time, batch], and how it came to them."""
        graph, name = sign.graph, f"encoder{self._ending}"
        state = sign.states_in(name, self._encoder) if self.streams else None
        x = Signal(self._numbers, factor=self._numbers.lookup(graph, tokens, self._table))
        run = self._encoder.scan(graph, self._numbers, x, rows, state)
        text = self._pool(sign, run, rows).factor(graph)
        logits = self._numbers.linear(graph, text, weights_of(self._member.output))
        if self.streams:
            sign.states_out(name, run.state, self._encoder)
        return logits, run

    def _pool(self, sign: Signature, run: Run, rows: Rows) -> Signal:
        """One vector per text: [batch, pooled]."""
        if self._member.pooling == "last":
            return run.top
        largest = pooled(sign, self._numbers, self._encoder, run, rows, LARGEST + self._ending)
        return largest if self._member.pooling == "max" else Signal.joined(sign.graph, (run.top, largest))
