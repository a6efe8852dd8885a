"""The graph that writes one token, and what begins it, of any model with a decoder.

step     token [batch], the decoder's state, keys, values, source_lengths [batch], k
         → top_tokens, top_log_probs [batch, k], all_log_probs [batch, vocabulary], the decoder's next state,
           attention [batch, source]: how much it looked at each position; costs next to nothing unless fetched
"""

from typing import Any, Protocol

from torch import nn

from service.bundle.manifest import GraphSpec
from service.bundle.tokenizer import BOS, PAD, UNK
from training.config import DecoderSection
from training.export import attention
from training.export.arithmetic import Arithmetic, Factor, Weights
from training.export.cells import weights_of
from training.export.graph import Graph, Value
from training.export.likeliest import say_next
from training.export.recurrence import Stack
from training.export.signal import Signal
from training.export.tensors import Signature
from training.modules.attention import MASKED
from training.modules.decoder import Decoder


def never_written(unknowns: bool) -> tuple[int, ...]:
    """Tokens without a text of their own; the rest of the vocabulary shares their probability.

    The unknown token is one of them but where it is to be replaced by a word of the source.
    """
    return (PAD, BOS) if unknowns else (PAD, BOS, UNK)


class Writer(Protocol):
    """A model with a decoder and an output layer."""

    decoder: Decoder
    output: nn.Linear


class DecoderGraphs:
    """Writes the graph of one step with the products of `numbers`; it may write unknown tokens, too."""

    def __init__(
        self, model: Writer, section: DecoderSection, numbers: Arithmetic, *, unknowns: bool = False
    ) -> None:
        self.never_written = never_written(unknowns)
        self._writer, self._numbers = model, numbers
        self._decoder = Stack(section.cell, model.decoder.recurrence)
        look = attention.ATTENTIONS[section.attention]
        self._attention = look(model.decoder) if look else None
        self._tables: dict[int, Weights] = {}
        self._target, self._output = self._table(model.decoder.embedding), self._table(model.output)

    def _table(self, layer: Any) -> Weights:
        """A layer's matrix; the same weights for layers that are tied."""
        weight = layer.weight
        if id(weight) not in self._tables:
            self._tables[id(weight)] = Weights(weight.detach().float().numpy())
        return self._tables[id(weight)]

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
        say_next(sign, self._logits(sign, readout, weights), self._writer.output.out_features, k)
        sign.states_out("decoder", run.state, self._decoder)
        if weights:
            sign.output("attention", weights, ("batch", "source"))
        return graph, sign.spec("step.onnx", pad={"source": attention.PAD} if self._attention else {})

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
        tensors = [part for part in self._writer.decoder.bridge.children() if isinstance(part, nn.ModuleList)]
        return [
            [graph.op("Tanh", self._numbers.linear(graph, top, weights_of(linear))) for linear in layer]
            for layer in zip(*tensors, strict=True)
        ]

    def _readout(self, graph: Graph, hidden: Factor, seen: Value | None) -> Value:
        mixed = self._numbers.linear(graph, hidden, weights_of(self._writer.decoder.readout.hidden))
        if self._attention and seen:
            mixed = graph.op("Add", mixed, self._attention.to_readout(graph, self._numbers, seen))
        return graph.op("Tanh", mixed)

    def _logits(self, sign: Signature, readout: Factor, weights: Value | None) -> Value:
        """Of every token; what is never written has none worth mentioning. `weights` say where the step looked."""
        bias = self._writer.output.bias.detach().float().numpy().copy()
        bias[list(self.never_written)] = MASKED
        return self._numbers.linear(sign.graph, readout, Weights(self._output.matrix, bias))
