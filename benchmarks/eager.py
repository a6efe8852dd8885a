"""PyTorch eager: the model as it was trained, or one of its shape with random weights, in the same loop as `bare`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.bare import Loop, padded
from benchmarks.variants import run_of
from benchmarks.work import Text
from training.models.seq2seq import Seq2Seq


class EagerLoop(Loop):
    """With PyTorch in float32."""

    def __init__(self, bundle: Path, threads: int, run: Path | None = None) -> None:
        torch.set_num_threads(threads)
        model = run_of(bundle, run).model
        assert isinstance(model, Seq2Seq)
        self._model = model

    @torch.inference_mode()
    def encode(self, group: Sequence[Text]) -> Any:
        tokens, lengths = padded(group)
        return self._model.encode(torch.from_numpy(tokens), torch.from_numpy(lengths))

    @torch.inference_mode()
    def write(self, encoded: Any, batch: int, num_steps: int) -> None:
        memory, state = encoded
        token = self._model.first_token(batch, torch.device("cpu"))
        for _ in range(num_steps):
            logits, state, _ = self._model.step(token, state, memory)
            token = logits.argmax(-1)
