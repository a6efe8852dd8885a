"""Texts that are cut into subwords another way in each epoch, where the recipe says so."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from service.bundle.tokenizer import Tokenizer
from training.config import RecipeError, TextRecipe
from training.data.batches import Example
from training.data.subword_dropout import SubwordDropout

T = TypeVar("T")


@dataclass
class Cuts:
    """False where texts are always cut the same way."""

    dropout: SubwordDropout | None
    epoch: int = 0

    @classmethod
    def of(cls, recipe: TextRecipe, tokenizer: Tokenizer) -> Self:
        """As `[tokenizer] dropout` says; RecipeError where there are no merges to leave out."""
        section = recipe.tokenizer
        if section.dropout and section.kind != "subwords":
            raise RecipeError(
                f"tokenizer.dropout is for subwords; {section.kind} are always cut the same way"
            )
        return cls(SubwordDropout(tokenizer, section.dropout, recipe.seed) if section.dropout else None)

    def __bool__(self) -> bool:
        return self.dropout is not None

    def of_text(self, text: str, index: int) -> list[int]:
        """Subwords of the text with this index in this epoch."""
        assert self.dropout
        return self.dropout.encode(text, self.epoch, index)


def kept_within(
    given: Sequence[T], examples: Sequence[Example], max_length: int
) -> tuple[list[T], list[Example]]:
    """Those of at most `max_length` positions on either side, and what they were made from."""
    pairs = zip(given, examples, strict=True)
    kept = [(each, example) for each, example in pairs if max(map(len, example)) <= max_length]
    return [each for each, _ in kept], [example for _, example in kept]
