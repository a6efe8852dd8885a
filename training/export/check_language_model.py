"""The checks of `training.export.check` for language models."""

from collections.abc import Mapping

import numpy as np
import torch

from service.bundle.tokenizer import PAD, SPECIALS
from training.export.check import Array, Arrays, Differences, Runner, Texts, random_texts, require_equal
from training.export.language_model import NEVER_READ, NEVER_WRITTEN
from training.models.language_model import LanguageModel
from training.modules.attention import MASKED

TOKENS = (7, 5, 6)
"""What is read step by step after each text."""


class LanguageModelCheck:
    """Graphs `read`, `score` and `step` against their model."""

    def __init__(self, model: LanguageModel, runners: Mapping[str, Runner], tolerance: float | None) -> None:
        self._model = model.eval()
        self._read, self._score, self._step = (runners[name] for name in ("read", "score", "step"))
        self._differences = Differences(tolerance)
        self._vocab_size = model.output.out_features

    @torch.no_grad()
    def run(self) -> float:
        """All checks; returns the mean difference from PyTorch."""
        for texts in random_texts(self._vocab_size):
            scored, steps = self._scored(texts), self._steps(texts)
            self._agrees(texts, scored, steps)
            require_equal("read and score", self._read(_given(texts)), scored)
            for number in range(len(texts.lengths)):
                self._alone(texts.row(number), number, scored, steps)
                self._chunked(texts.row(number))
        return self._differences.mean

    def _agrees(self, texts: Texts, scored: Arrays, steps: list[Arrays]) -> None:
        logits, state = self._model(*texts.tensors())
        logits[..., list(NEVER_READ)] = MASKED
        expected = torch.log_softmax(logits, -1).gather(-1, torch.from_numpy(self._next(texts))[..., None])[
            ..., 0
        ]
        real = np.arange(texts.tokens.shape[1]) < texts.lengths[:, None]
        self._differences.compare("score", scored["log_probs"][real], expected[torch.from_numpy(real)])
        self._compare_states("read", scored, state)
        for token, ours in zip(TOKENS, steps, strict=True):
            given = torch.full((len(texts.lengths), 1), token)
            logits, state = self._model(given, torch.ones(len(given), dtype=torch.int64), state)
            self._compare_step(ours, logits[:, 0])
            self._compare_states("step", ours, state)

    def _compare_step(self, ours: Arrays, logits: torch.Tensor) -> None:
        logits[:, list(NEVER_WRITTEN)] = MASKED
        written = [token for token in range(self._vocab_size) if token not in NEVER_WRITTEN]
        unsorted = np.empty_like(ours["top_log_probs"])
        np.put_along_axis(unsorted, ours["top_tokens"], ours["top_log_probs"], axis=1)
        self._differences.compare("step", unsorted[:, written], torch.log_softmax(logits, -1)[:, written])

    def _alone(self, text: Texts, number: int, scored: Arrays, steps: list[Arrays]) -> None:
        length = text.lengths[0]
        row = {name: array[number : number + 1] for name, array in scored.items()}
        row["log_probs"] = row["log_probs"][:, :length]
        require_equal("score alone and in a batch", self._scored(text), row)
        for ours, theirs in zip(self._steps(text), steps, strict=True):
            row = {name: array[number : number + 1] for name, array in theirs.items()}
            require_equal("step alone and in a batch", ours, row)

    def _chunked(self, text: Texts) -> None:
        whole, found, state = self._scored(text), [], dict[str, Array]()
        following = Texts(self._next(text), text.lengths)
        for piece, after in zip(text.chunks((1, 2, 5)), following.chunks((1, 2, 5)), strict=True):
            found.append(self._score(_given(piece) | {"next": after.tokens} | state))
            state = self._score.states(found[-1])
        joined = np.concatenate([part["log_probs"] for part in found], axis=1)
        require_equal("score in chunks and whole", whole, found[-1] | {"log_probs": joined})

    def _scored(self, texts: Texts) -> Arrays:
        return self._score(_given(texts) | {"next": self._next(texts)})

    def _steps(self, texts: Texts) -> list[Arrays]:
        state, found = self._step.states(self._read(_given(texts))), []
        everything = np.array(self._vocab_size)
        for token in TOKENS:
            found.append(self._step({"token": np.full(len(texts.lengths), token), "k": everything, **state}))
            state = self._step.states(found[-1])
        return found

    def _next(self, texts: Texts) -> Array:
        """What comes after each token: some other, whatever its neighbours are."""
        words = self._vocab_size - len(SPECIALS)
        turned = (texts.tokens + 1 - len(SPECIALS)) % words + len(SPECIALS)
        return np.where(texts.tokens, turned, PAD)

    def _compare_states(self, where: str, ours: Arrays, theirs: tuple[torch.Tensor, ...]) -> None:
        for letter, tensor in zip("hc", theirs, strict=False):
            for layer, expected in enumerate(tensor):
                self._differences.compare(where, ours[f"encoder_{letter}_{layer}"], expected)


def _given(texts: Texts) -> Arrays:
    return {"tokens": texts.tokens, "lengths": texts.lengths}
