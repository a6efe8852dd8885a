"""Chat: a language model over the turns of dialogues, each ended by EOS: BOS user EOS reply EOS user EOS reply EOS."""

from pathlib import Path

import torch

from service.bundle.tokenizer import EOS
from training.config.generate import ChatRecipe
from training.data.readers.documents import read_dialogues
from training.fit.tasks.generate import Streamed
from training.models.language_model import LanguageModel


class Chat(Streamed[ChatRecipe]):
    """Dialogues, one after the other in each stream."""

    def scores(self, model: LanguageModel, device: torch.device) -> dict[str, float]:
        """None but the loss."""
        return {}

    def _texts(self, root: Path, files: tuple[str, ...], dev: bool = False) -> list[list[str]]:
        return read_dialogues(root, files, self._recipe.data)

    def _joined(self, parts: list[list[int]]) -> list[int]:
        return [token for part in parts for token in (*part, EOS)]
