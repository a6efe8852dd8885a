"""limit:compute: a translator's own graphs in a bare loop, always a full batch.

No sessions, no joins, no wire, no text: what the machine could write if nothing else had to be done. The loop does what
a perfect scheduler would have the graphs do for the same texts: each text is encoded once, together with texts as long
as itself, and takes one step for each token and one for its end.
"""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.work import Text
from service.bundle import Bundle
from service.bundle.tokenizer import BOS
from service.engine.products import make_exact

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = dict[str, Array]


NONE = np.array(0)
"""Of a size that nobody asks for."""
NEEDED = {"top_tokens", "top_log_probs", "log_probs"}
"""Outputs that a greedy writer and a classifier need; the service fetches no others for them, either."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What a loop did in a round."""

    num_tokens: int
    num_encodes: int
    num_steps: int
    encode_s: float
    step_s: float

    @property
    def steps_only(self) -> float:
        """Tokens a second, had nothing to be encoded."""
        return self.num_tokens / self.step_s

    @property
    def with_encodes(self) -> float:
        """Tokens a second."""
        return self.num_tokens / (self.step_s + self.encode_s)


class Loop:
    """Encodes and writes group after group; what a group is computed with is the subclass's affair."""

    def pace(self, texts: Sequence[Text], batch: int, seconds: float) -> Pace:
        """Work through the texts in batches for about `seconds`."""
        num_tokens = num_encodes = num_steps = 0
        encode_s = step_s = 0.0
        for group in cycle(groups(texts, batch)):
            began = time.perf_counter()
            encoded = self.encode(group)
            between = time.perf_counter()
            tokens = sum(text.num_tokens for text in group)
            steps = max(1, round((tokens + batch) / batch))
            self.write(encoded, batch, steps)
            encode_s, step_s = encode_s + between - began, step_s + time.perf_counter() - between
            num_tokens, num_encodes, num_steps = num_tokens + tokens, num_encodes + 1, num_steps + steps
            if encode_s + step_s >= seconds:
                break
        return Pace(num_tokens, num_encodes, num_steps, encode_s, step_s)

    def encode(self, group: Sequence[Text]) -> Any:
        """What the steps of these texts begin with."""
        raise NotImplementedError

    def write(self, encoded: Any, batch: int, num_steps: int) -> None:
        """So many steps of the whole batch, each with the token of the one before."""
        raise NotImplementedError


class BareLoop(Loop):
    """With ONNX Runtime, as the service runs it, and nothing around it."""

    def __init__(self, path: Path, threads: int) -> None:
        self.bundle = Bundle.read(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        make_exact(options)
        self._sessions = {
            name: onnxruntime.InferenceSession(self.bundle.read_graph(name), options)
            for name in self.bundle.manifest.graphs
        }

    def encode(self, group: Sequence[Text]) -> Arrays:
        return self.encode_rows(*padded(group))

    def encode_rows(self, tokens: Array, lengths: Array) -> Arrays:
        """Tokens [batch, source] and lengths [batch] to all that the first step takes."""
        found = self.run("encode", {"tokens": tokens, "lengths": lengths})
        multiple = self.bundle.manifest.graphs["step"].pad.get("source", 1)
        return {name: _padded(array, multiple) for name, array in found.items()} | {"source_lengths": lengths}

    def write(self, encoded: Arrays, batch: int, num_steps: int) -> None:
        token, state = np.full(batch, BOS), dict(encoded)
        for _ in range(num_steps):
            found = self.run("step", state | {"token": token, "k": np.array(1)})
            token = found["top_tokens"][:, 0]
            state |= found

    def run(self, name: str, given: Arrays) -> Arrays:
        """One batch of one graph, tensors by the manifest's names."""
        spec = self.bundle.manifest.graphs[name]
        feeds = {
            tensor.tensor: given.get(tensor.name, NONE) if tensor.optional else given[tensor.name]
            for tensor in spec.inputs
        }
        wanted = [tensor for tensor in spec.outputs if tensor.role != "output" or tensor.name in NEEDED]
        found = self._sessions[name].run([tensor.tensor for tensor in wanted], feeds)
        return {tensor.name: array for tensor, array in zip(wanted, found, strict=True)}

    def bytes_per_session(self, texts: Sequence[Text]) -> float:
        """State and contexts of one text, on average."""
        kept = [self.encode([text]) for text in texts[:32]]
        return sum(array.nbytes for arrays in kept for array in arrays.values()) / len(kept)


def groups(texts: Sequence[Text], batch: int) -> list[list[Text]]:
    """Full batches of texts about as long as each other, in any order."""
    ordered = sorted(texts, key=lambda text: len(text.source))
    full = list(islice(cycle(ordered), max(batch, len(ordered) // batch * batch)))
    found = [sorted(part, key=lambda text: len(text.source)) for part in _parts(full, batch)]
    random.Random(0).shuffle(found)
    return found


def padded(group: Sequence[Text]) -> tuple[Array, Array]:
    """Tokens [batch, source] and lengths [batch]."""
    lengths = np.array([len(text.source) for text in group])
    tokens = np.zeros((len(group), lengths.max()), np.int64)
    for row, text in zip(tokens, group, strict=True):
        row[: len(text.source)] = text.source
    return tokens, lengths


def _parts(items: Sequence[Text], size: int) -> Iterator[Sequence[Text]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _padded(array: Array, multiple: int) -> Array:
    """Contexts [batch, source, size] are padded along the source as the service pads them."""
    return np.pad(array, ((0, 0), (0, -array.shape[1] % multiple), (0, 0))) if array.ndim == 3 else array
