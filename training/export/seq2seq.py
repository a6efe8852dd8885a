"""The two graphs of a sequence-to-sequence model.

    encode   tokens [batch, source], lengths [batch], the encoder's state if it reads one way
             → keys, values [batch, source, ·], the encoder's state, the decoder's first state (unless that is zero)
    step     token [batch], the decoder's state, keys, values, source_lengths [batch], k
             → top_tokens, top_log_probs [batch, k], all_log_probs [batch, vocabulary], the decoder's next state,
               attention [batch, source]: how much it looked at each position; costs next to nothing unless fetched

A one-way encoder can be given a text in chunks: its state goes on, the contexts of the chunks follow each other,
and the decoder's first state is that after the last chunk.
"""

from torch import nn

from service.bundle.manifest import GraphSpec
from service.bundle.tokenizer import BOS, PAD, UNK
from training.config import Seq2SeqSection
from training.export import attention
from training.export.arithmetic import Arithmetic, Factor, Weights
from training.export.cells import weights_of
from training.export.graph import Graph, Value
from training.export.likeliest import say_next
from training.export.recurrence import Rows, Stack
from training.export.signal import Signal
from training.export.tensors import Signature
from training.export.traces import trace
from training.models.seq2seq import Seq2Seq
from training.modules.attention import MASKED
from training.modules.decoder import Bridge


def never_written(unknowns: bool) -> tuple[int, ...]:
    """Tokens without a text of their own; the rest of the vocabulary shares their probability.

    The unknown token is one of them but where it is to be replaced by a word of the source.
    """
    return (PAD, BOS) if unknowns else (PAD, BOS, UNK)


class Seq2SeqGraphs:
    """Writes both graphs of `model` with the products of `numbers`; it may write unknown tokens, too."""

    def __init__(
        self,
        model: Seq2Seq,
        section: Seq2SeqSection,
        numbers: Arithmetic,
        *,
        unknowns: bool = False,
        traces: bool = False,
    ) -> None:
        self.never_written = never_written(unknowns)
        self._model, self._numbers, self._traces = model, numbers, traces
        self._encoder = Stack(section.encoder.cell, model.encoder.recurrence)
        self._decoder = Stack(section.decoder.cell, model.decoder.recurrence)
        look = attention.ATTENTIONS[section.decoder.attention]
        self._attention = look(model.decoder) if look else None
        tables = model.encoder.embedding, model.decoder.embedding, model.output
        kept = {id(table.weight): Weights(table.weight.detach().float().numpy()) for table in tables}
        self._source, self._target, self._output = (kept[id(table.weight)] for table in tables)

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

    def step(self) -> tuple[Graph, GraphSpec]:
        """The graph that writes one token of the target."""
        graph, numbers = Graph("step"), self._numbers
        sign = Signature(graph)
        token = sign.input("token", "int64", ("batch",))
        k = sign.size("k", of="k")
        state = sign.states_in("decoder", self._decoder)
        x = Signal(numbers, factor=numbers.lookup(graph, token, self._target))
        seen = weights = None
        if self._attention and self._attention.before_cell:
            seen, weights = self._look(sign, Signal(numbers, floats=state[-1][0]))
            x = Signal(numbers, floats=graph.op("Concat", x.floats(graph), seen, axis=-1))
        run = self._decoder.step(graph, numbers, x, state)
        if self._attention and not self._attention.before_cell:
            seen, weights = self._look(sign, run.outputs)
        readout = numbers.bounded(graph, self._readout(graph, run.outputs.factor(graph), seen))
        say_next(sign, self._logits(sign, readout, weights), self._model.output.out_features, k)
        sign.states_out("decoder", run.state, self._decoder)
        if weights:
            sign.output("attention", weights, ("batch", "source"))
        return graph, sign.spec("step.onnx", pad={"source": attention.PAD} if self._attention else {})

    def _keep(self, sign: Signature, tokens: Value) -> None:
        """Put out what else a step needs of the source [batch, source]; nothing."""

    def _look(self, sign: Signature, hidden: Signal) -> tuple[Value, Value]:
        assert self._attention
        keys = sign.input("keys", "float32", ("batch", "source", self._attention.num_keys), role="context")
        values = sign.input(
            "values", "float32", ("batch", "source", self._attention.num_values), role="context"
        )
        lengths = sign.lengths("source_lengths", of="source")
        scores = self._attention.scores(sign.graph, self._numbers, hidden, keys)
        return attention.look(sign.graph, scores, values, lengths)

    def _bridge(self, graph: Graph, top: Factor) -> list[list[Value]]:
        """The decoder's first state by layer, from the encoder's last one."""
        tensors = [part for part in self._model.decoder.bridge.children() if isinstance(part, nn.ModuleList)]
        return [
            [graph.op("Tanh", self._numbers.linear(graph, top, weights_of(linear))) for linear in layer]
            for layer in zip(*tensors, strict=True)
        ]

    def _readout(self, graph: Graph, hidden: Factor, seen: Value | None) -> Value:
        mixed = self._numbers.linear(graph, hidden, weights_of(self._model.decoder.readout.hidden))
        if self._attention and seen:
            mixed = graph.op("Add", mixed, self._attention.to_readout(graph, self._numbers, seen))
        return graph.op("Tanh", mixed)

    def _logits(self, sign: Signature, readout: Factor, weights: Value | None) -> Value:
        """Of every token; what is never written has none worth mentioning. `weights` say where the step looked."""
        bias = self._model.output.bias.detach().float().numpy().copy()
        bias[list(self.never_written)] = MASKED
        return self._numbers.linear(sign.graph, readout, Weights(self._output.matrix, bias))
