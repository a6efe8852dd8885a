"""The two graphs of a model that may copy: those of `training.export.seq2seq`, and

    encode   → source_tokens [batch, source]
    step     source_tokens; what it looked at is added to the probabilities of the tokens that stand there

Each row's additions are made in the order of its positions, and padding adds zero to PAD, which is never written: so a
row is the same in any batch.
"""

import numpy as np

from training.config import Seq2SeqSection
from training.export.arithmetic import Arithmetic, Factor, Weights
from training.export.cells import weights_of
from training.export.graph import Graph, Value
from training.export.seq2seq import Seq2SeqGraphs
from training.export.tensors import Signature
from training.models.copying import LEAST, CopyingSeq2Seq
from training.modules.attention import MASKED

SOURCE = "source_tokens"


class CopyingGraphs(Seq2SeqGraphs):
    """Writes both graphs of `model` with the products of `numbers`."""

    def __init__(self, model: CopyingSeq2Seq, section: Seq2SeqSection, numbers: Arithmetic) -> None:
        super().__init__(model.writer, section, numbers)
        self._gate = weights_of(model.gate)

    def _keep(self, sign: Signature, tokens: Value) -> None:
        sign.output(SOURCE, tokens, ("batch", "source"), role="context", dtype="int64")

    def _logits(self, sign: Signature, readout: Factor, weights: Value | None) -> Value:
        assert weights, "without attention nothing can be copied"
        graph, numbers = sign.graph, self._numbers
        source = sign.input(SOURCE, "int64", ("batch", "source"), role="context")
        bias = self._model.output.bias.detach().float().numpy()
        logits = numbers.linear(graph, readout, Weights(self._output.matrix, bias))
        gate = numbers.linear(graph, readout, self._gate)
        writes, copies = graph.op("Sigmoid", gate), graph.op("Sigmoid", graph.op("Neg", gate))
        written = graph.op("Mul", writes, graph.op("Softmax", logits, axis=-1))
        copied = graph.op("Mul", copies, weights)
        both = graph.op("ScatterElements", written, source, copied, axis=1, reduction="add")
        log_probs = graph.op("Log", graph.op("Max", both, graph.constant(LEAST, np.float32)))
        return graph.op("Add", log_probs, self._barred(graph))

    def _barred(self, graph: Graph) -> Value:
        """What keeps tokens without a text from being written; the others share their probability."""
        barred = np.zeros(self._model.output.out_features, np.float32)
        barred[list(self.never_written)] = MASKED
        return graph.constant(barred, name="barred")
