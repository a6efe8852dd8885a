"""The checks of `training.export.check` for sequence-to-sequence models."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from service.bundle.tokenizer import BOS
from training.export.check import Array, Arrays, Differences, Runner, Texts, random_texts, require_equal
from training.export.decoder import never_written
from training.export.likeliest import EVERYTHING
from training.models.copying import CopyingSeq2Seq
from training.models.seq2seq import Seq2Seq
from training.modules.attention import MASKED

NUM_STEPS = 3
ATTENTION = "attention"


class Seq2SeqCheck:
    """Graphs `encode` and `step` against their model."""

    given = "tokens"
    """What `encode` reads."""

    def __init__(
        self,
        model: Seq2Seq | CopyingSeq2Seq,
        runners: Mapping[str, Runner],
        tolerance: float | None,
        *,
        unknowns: bool = False,
    ) -> None:
        self._model = model.eval()
        self._never = list(never_written(unknowns))
        self._encode, self._step = runners["encode"], runners["step"]
        self._streams = any(tensor.role == "state" for tensor in self._encode.spec.inputs)
        self._differences = Differences(tolerance)
        outputs = (*self._encode.spec.outputs, *self._step.spec.outputs)
        self._by_source = {tensor.name for tensor in outputs if "source" in tensor.axes}
        self._vocab_size = model.output.out_features

    @torch.no_grad()
    def run(self) -> float:
        """All checks; returns the mean difference from PyTorch."""
        for texts in self._inputs():
            encoded = self._encoded(texts)
            steps = self._steps(encoded, texts.lengths)
            self._agrees(texts, encoded, steps)
            self._alike(texts, encoded, steps[0])
            for number in range(len(texts.lengths)):
                self._alone(texts.row(number), number, encoded, steps)
                if self._streams:
                    self._chunked(texts.row(number))
        return self._differences.mean

    def _inputs(self) -> Iterator[Texts]:
        return random_texts(self._vocab_size)

    def _agrees(self, texts: Texts, encoded: Arrays, steps: list[Arrays]) -> None:
        memory: Any
        memory, state = self._model.encode(*texts.tensors())
        self._compare_states("encode", encoded, state)
        for token, ours in zip(self._tokens(len(texts.lengths)), steps, strict=True):
            logits, state, weights = self._model.step(torch.from_numpy(token), state, memory)
            logits[:, self._never] = MASKED
            unsorted = np.empty_like(ours["top_log_probs"])
            np.put_along_axis(unsorted, ours["top_tokens"], ours["top_log_probs"], axis=1)
            written = [token for token in range(self._vocab_size) if token not in self._never]
            self._differences.compare("step", unsorted[:, written], torch.log_softmax(logits, -1)[:, written])
            require_equal("all log-probabilities and the best", {"all": unsorted}, {"all": ours[EVERYTHING]})
            self._compare_states("step", ours, state)
            if ATTENTION in ours:
                self._differences.compare("attention", ours[ATTENTION], weights)

    def _alike(self, texts: Texts, encoded: Arrays, step: Arrays) -> None:
        """The likeliest token is the first of the k likeliest, for every k."""
        given = self._step.states(encoded) | {"source_lengths": texts.lengths}
        for k in (1, 3):
            few = self._step({"token": self._tokens(len(texts.lengths))[0], "k": np.array(k), **given})
            first = {name: step[name][:, :k] for name in ("top_tokens", "top_log_probs")}
            require_equal(f"step with k = {k} and with all", first, few)

    def _alone(self, text: Texts, number: int, encoded: Arrays, steps: list[Arrays]) -> None:
        alone = self._encoded(text)
        require_equal("encode alone and in a batch", alone, self._row(encoded, number, text.lengths[0]))
        for ours, theirs in zip(self._steps(alone, text.lengths), steps, strict=True):
            require_equal("step alone and in a batch", ours, self._row(theirs, number, text.lengths[0]))

    def _chunked(self, text: Texts) -> None:
        whole = self._encoded(text)
        state: Arrays = {}
        parts = []
        for piece in text.chunks((1, 2, 5)):
            found = self._encode({"tokens": piece.tokens, "lengths": piece.lengths, **state})
            state = self._encode.states(found)
            parts.append(found)
        joined = {
            name: np.concatenate([part[name] for part in parts], axis=1)
            if name in self._by_source
            else parts[-1][name]
            for name in whole
        }
        require_equal("encode in chunks and whole", joined, whole)

    def _encoded(self, texts: Texts) -> Arrays:
        return self._encode({self.given: texts.tokens, "lengths": texts.lengths})

    def _steps(self, encoded: Arrays, lengths: Array) -> list[Arrays]:
        state, found = self._step.states(encoded), []
        for token in self._tokens(len(lengths)):
            everything = np.array(self._vocab_size)
            found.append(self._step({"token": token, "source_lengths": lengths, "k": everything, **state}))
            state |= self._step.states(found[-1])
        return found

    def _tokens(self, batch: int) -> list[Array]:
        return [np.full(batch, token) for token in (BOS, 7, 5)][:NUM_STEPS]

    def _compare_states(self, where: str, ours: Arrays, theirs: tuple[torch.Tensor, ...]) -> None:
        for letter, tensor in zip("hc", theirs, strict=False):
            for layer, expected in enumerate(tensor):
                if where == "encode" and f"decoder_{letter}_{layer}" not in ours:
                    require_equal(
                        "the decoder's first state",
                        {"": expected.numpy()},
                        {"": np.zeros(expected.shape, np.float32)},
                    )
                    continue
                self._differences.compare(where, ours[f"decoder_{letter}_{layer}"], expected)

    def _row(self, arrays: Arrays, number: int, length: int) -> Arrays:
        """One row of a batch; what has an entry for each position of the source is cut to its length."""
        rows = {name: array[number : number + 1] for name, array in arrays.items()}
        return {name: row[:, :length] if name in self._by_source else row for name, row in rows.items()}
