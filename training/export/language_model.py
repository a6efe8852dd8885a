"""The three graphs of a language model.

    read    tokens [batch, time], lengths [batch], the state → the state after them
    score   the same and `next` [batch, time], what comes after each token
            → log_probs [batch, time] of those, the state; a graph of its own, since it costs a product with the whole
              vocabulary at each position
    step    token [batch], the state, k → top_tokens, top_log_probs [batch, k] of what comes next, the state

All read one way: a text in chunks gives the same as whole, bit for bit.
"""

import numpy as np

from service.bundle.manifest import GraphSpec
from service.bundle.tokenizer import BOS, PAD, UNK
from training.config import LanguageModelSection
from training.export.arithmetic import Arithmetic, Factor, Weights
from training.export.graph import Graph, Value
from training.export.likeliest import likeliest
from training.export.recurrence import Rows, Run, Stack
from training.export.signal import Signal
from training.export.tensors import Signature
from training.export.traces import trace
from training.models.language_model import LanguageModel
from training.modules.attention import MASKED

NEVER_READ = (PAD, BOS)
"""Tokens that no text goes on with."""
NEVER_WRITTEN = (*NEVER_READ, UNK)
"""Tokens without a text of their own; the rest of the vocabulary shares their probability."""


class LanguageModelGraphs:
    """Writes all graphs of `model` with the products of `numbers`."""

    def __init__(
        self, model: LanguageModel, section: LanguageModelSection, numbers: Arithmetic, traces: bool = False
    ) -> None:
        self._numbers, self._traces = numbers, traces
        self._stack = Stack(section.encoder.cell, model.encoder.recurrence)
        tables = model.encoder.embedding, model.output
        kept = {id(table.weight): Weights(table.weight.detach().float().numpy()) for table in tables}
        self._table, self._output = (kept[id(table.weight)] for table in tables)
        self._bias = model.output.bias.detach().float().numpy()

    def graphs(self) -> dict[str, tuple[Graph, GraphSpec]]:
        """All graphs by name."""
        return {"read": self.read(), "score": self.score(), "step": self.step()}

    def read(self) -> tuple[Graph, GraphSpec]:
        """The graph that only reads."""
        sign = Signature(Graph("read"))
        run = self._reading(sign)
        if self._traces:
            trace(sign, self._numbers, "encoder", run, time="time")
        return sign.graph, sign.spec("read.onnx")

    def score(self) -> tuple[Graph, GraphSpec]:
        """The graph that reads and says how probable each next token was."""
        graph = Graph("score")
        sign = Signature(graph)
        run = self._reading(sign)
        following = graph.op("Transpose", sign.input("next", "int64", ("batch", "time")), perm=[1, 0])
        log_probs = self._log_probs(graph, run.outputs.factor(graph), NEVER_READ)
        last = graph.constant([2], np.int64)
        chosen = graph.op("GatherElements", log_probs, graph.op("Unsqueeze", following, last), axis=-1)
        turned = graph.op("Transpose", graph.op("Squeeze", chosen, last), perm=[1, 0])
        sign.output("log_probs", turned, ("batch", "time"))
        return graph, sign.spec("score.onnx")

    def step(self) -> tuple[Graph, GraphSpec]:
        """The graph that writes one token."""
        graph, numbers = Graph("step"), self._numbers
        sign = Signature(graph)
        token = sign.input("token", "int64", ("batch",))
        k = sign.size("k", of="k")
        state = sign.states_in("encoder", self._stack)
        x = Signal(numbers, factor=numbers.lookup(graph, token, self._table))
        run = self._stack.step(graph, numbers, x, state)
        log_probs = self._log_probs(graph, run.outputs.factor(graph), NEVER_WRITTEN)
        tokens, best = likeliest(graph, log_probs, len(self._bias), k)
        sign.output("top_tokens", tokens, ("batch", "k"), dtype="int64")
        sign.output("top_log_probs", best, ("batch", "k"))
        sign.states_out("encoder", run.state, self._stack)
        return graph, sign.spec("step.onnx")

    def _reading(self, sign: Signature) -> Run:
        """The scan over a chunk; declares its inputs and the state."""
        graph, numbers = sign.graph, self._numbers
        tokens = sign.input("tokens", "int64", ("batch", "time"))
        lengths = sign.lengths("lengths", of="time")
        state = sign.states_in("encoder", self._stack)
        turned = graph.op("Transpose", tokens, perm=[1, 0])
        rows = Rows.of(graph, turned, lengths)
        x = Signal(numbers, factor=numbers.lookup(graph, turned, self._table))
        run = self._stack.scan(graph, numbers, x, rows, state)
        sign.states_out("encoder", run.state, self._stack)
        return run

    def _log_probs(self, graph: Graph, outputs: Factor, never: tuple[int, ...]) -> Value:
        """Of every token [..., vocab]."""
        bias = self._bias.copy()
        bias[list(never)] = MASKED
        logits = self._numbers.linear(graph, outputs, Weights(self._output.matrix, bias))
        return graph.op("LogSoftmax", logits, axis=-1)
