"""BPE-dropout (Provilkov et al. 2020 §3): each merge is left out with some probability, so a text is cut in many ways.

The library's own draws from dice that cannot be set; these are set by seed, epoch and text, so that a run that is gone
on with sees the same cuts.
"""

import json
import random
from itertools import pairwise

from tokenizers import Tokenizer as Pipeline

from service.bundle.tokenizer import UNK, Tokenizer

Pair = tuple[str, str]


class SubwordDropout:
    """Cuts texts as `tokenizer` does, but for the merges that are left out."""

    def __init__(self, tokenizer: Tokenizer, rate: float, seed: int) -> None:
        text = tokenizer.to_json()
        self._pipeline = Pipeline.from_str(text)
        model = json.loads(text)["model"]
        self._ids: dict[str, int] = model["vocab"]
        merges = [
            tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]
        ]
        self._ranks: dict[Pair, int] = {(first, second): rank for rank, (first, second) in enumerate(merges)}
        self._rate, self._seed = rate, seed

    def encode(self, text: str, epoch: int, index: int) -> list[int]:
        """Subwords of the text with this index in this epoch."""
        dice = random.Random(f"{self._seed} {epoch} {index}")
        normal = self._pipeline.normalizer.normalize_str(text)
        words = self._pipeline.pre_tokenizer.pre_tokenize_str(normal)
        return [self._ids.get(part, UNK) for word, _ in words for part in self._cut(word, dice)]

    def _cut(self, word: str, dice: random.Random) -> list[str]:
        parts = list(word)
        while len(parts) > 1:
            found = [
                (rank, at)
                for at, pair in enumerate(pairwise(parts))
                if (rank := self._ranks.get(pair)) is not None and dice.random() >= self._rate
            ]
            if not found:
                break
            _, at = min(found)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return parts
