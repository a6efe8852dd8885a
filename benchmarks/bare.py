"""limit:compute: the bundle's own graphs in a bare loop, the whole batch in step from the first token to the last.

No sessions, no joins, no wire, no text: what the machine could write if nothing else had to be done.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from service.bundle import Bundle
from service.bundle.manifest import GraphSpec
from service.bundle.tokenizer import BOS, EOS

Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]


class BareLoop:
    """Both graphs of a translator."""

    def __init__(self, path: Path, threads: int) -> None:
        self._bundle = Bundle.read(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.x64quantprecision", "1")
        self._sessions = {
            name: onnxruntime.InferenceSession(self._bundle.read_file(spec.file), options)
            for name, spec in self._bundle.manifest.graphs.items()
        }

    def tokens_per_s(self, texts: list[str], num_steps: int, seconds: float) -> float:
        """Tokens of output per second: the texts are encoded as one batch, then each writes `num_steps` tokens."""
        state, num_tokens, began = self._encoded(texts), 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            self._write(dict(state), len(texts), num_steps)
            num_tokens += len(texts) * num_steps
        return num_tokens / (time.perf_counter() - began)

    def _encoded(self, texts: list[str]) -> Arrays:
        rows = [[*self._bundle.tokenizer.encode(text), EOS] for text in texts]
        tokens = np.zeros((len(rows), max(map(len, rows))), np.int64)
        for row, ids in zip(tokens, rows, strict=True):
            row[: len(ids)] = ids
        lengths = np.array([len(row) for row in rows])
        found = self._run("encode", {"tokens": tokens, "lengths": lengths})
        return {name: _padded(array, 16) for name, array in found.items()} | {"source_lengths": lengths}

    def _write(self, state: Arrays, batch: int, num_steps: int) -> None:
        token = np.full(batch, BOS)
        for _ in range(num_steps):
            found = self._run("step", state | {"token": token, "k": np.array(1)})
            token = found["top_tokens"][:, 0]
            state |= found

    def _run(self, name: str, given: Arrays) -> Arrays:
        spec: GraphSpec = self._bundle.manifest.graphs[name]
        feeds = {tensor.tensor: given[tensor.name] for tensor in spec.inputs}
        found = self._sessions[name].run([tensor.tensor for tensor in spec.outputs], feeds)
        return {tensor.name: array for tensor, array in zip(spec.outputs, found, strict=True)}


def _padded(array: np.ndarray[Any, np.dtype[Any]], multiple: int) -> np.ndarray[Any, np.dtype[Any]]:
    """Contexts [batch, source, size] are padded along the source as the service pads them."""
    return np.pad(array, ((0, 0), (0, -array.shape[1] % multiple), (0, 0))) if array.ndim == 3 else array
