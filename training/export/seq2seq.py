"""The two graphs of a sequence-to-sequence model.

    encode   tokens [batch, source], lengths [batch], the encoder's state if it reads one way
             → keys, values [batch, source, ·], the encoder's state, the decoder's first state (unless that is zero)
    step     as in `training.export.decoder`

A one-way encoder can be given a text in chunks: its state goes on, the contexts of the chunks follow each other,
and the decoder's first state is that after the last chunk.
"""

from service.bundle.manifest import GraphSpec
from training.config import Seq2SeqSection
from training.export import attention
from training.export.arithmetic import Arithmetic
from training.export.decoder import DecoderGraphs
from training.export.graph import Graph, Value
from training.export.recurrence import Rows, Stack
from training.export.signal import Signal
from training.export.tensors import Signature
from training.export.traces import trace
from training.models.seq2seq import Seq2Seq
from training.modules.decoder import Bridge


class Seq2SeqGraphs(DecoderGraphs):
    """Writes both graphs of `model` with the products of `numbers`; it may write unknown tokens, too."""

    def __init__(
        self,
        model: Seq2Seq,
        section: Seq2SeqSection,
        numbers: Arithmetic,
        *,
        unknowns: bool = False,
        traces: bool = False,
        shared: bool = False,
    ) -> None:
        super().__init__(model, section.decoder, numbers, unknowns=unknowns)
        self._model, self._traces = model, traces
        self._encoder = Stack(section.encoder.cell, model.encoder.recurrence)
        self._source = self._table(model.encoder.embedding)
        if shared:
            self._attention = attention.SharedLuong(model.decoder)

    def graphs(self) -> dict[str, tuple[Graph, GraphSpec]]:
        """All graphs by name."""
        return {"encode": self.encode(), "step": self.step()}

    @property
    def streams(self) -> bool:
        """Whether a text can be encoded in chunks."""
        return self._encoder.directions == 1

    def encode(self) -> tuple[Graph, GraphSpec]:
        """The graph that reads the source."""
        graph, numbers = Graph("encode"), self._numbers
        sign = Signature(graph)
        tokens = sign.input("tokens", "int64", ("batch", "source"))
        lengths = sign.lengths("lengths", of="source")
        state = sign.states_in("encoder", self._encoder) if self.streams else None
        turned = graph.op("Transpose", tokens, perm=[1, 0])
        rows = Rows.of(graph, turned, lengths)
        x = Signal(numbers, factor=numbers.lookup(graph, turned, self._source))
        run = self._encoder.scan(graph, numbers, x, rows, state)
        if self._attention:
            outputs = run.outputs.moved(lambda rows: graph.op("Transpose", rows, perm=[1, 0, 2]))
            keys, values = self._attention.context(graph, numbers, outputs)
            sign.output("keys", keys, ("batch", "source", self._attention.num_keys), role="context")
            sign.output("values", values, ("batch", "source", self._attention.num_values), role="context")
        self._keep(sign, tokens)
        if self.streams:
            sign.states_out("encoder", run.state, self._encoder)
        if self._traces:
            trace(sign, numbers, "encoder", run, time="source")
        if isinstance(self._model.decoder.bridge, Bridge):
            sign.states_out("decoder", self._bridge(graph, run.top.factor(graph)), self._decoder)
        return graph, sign.spec("encode.onnx")

    def _keep(self, sign: Signature, tokens: Value) -> None:
        """Put out what else a step needs of the source [batch, source]; nothing."""
