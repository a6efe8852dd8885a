"""Recipes of models that describe a feature vector in words."""

from typing import Literal

from training.config.recipe import Recipe
from training.config.sections import (
    DataSection,
    DecoderSection,
    Fraction,
    Positive,
    Section,
    TokenizerSection,
)


class DescribedData(DataSection):
    """Feature vectors with a description each: JSONL files, an object a line."""

    vector: str = "vector"
    """The field that holds the vector, a list of numbers."""
    text: str = "text"
    """The field that holds its description."""
    max_length: Positive = 60
    """Training descriptions of more tokens are left out."""


class CaptionSection(Section):
    """A projection of the vector, and a decoder without attention that begins from it."""

    embedding: Positive = 128
    """Size of a token's vector, and of the readout that is compared with it."""
    size: Positive = 256
    """Of the projected vector."""
    dropout: Fraction = 0.2
    """On the vector, on embeddings, between layers, and on the readout."""
    decoder: DecoderSection = DecoderSection(attention="none", hidden=256)
    """What writes the description; its attention is `none`, since there is one vector to look at."""


class CaptionRecipe(Recipe):
    """A recipe with `task = "caption"`."""

    scores = ("bleu", "exact")

    task: Literal["caption"]
    """What the model does."""
    target: str
    """Language code of the descriptions."""
    data: DescribedData
    """What to learn from."""
    tokenizer: TokenizerSection = TokenizerSection()
    """How descriptions become tokens."""
    model: CaptionSection = CaptionSection()
    """What to train."""
