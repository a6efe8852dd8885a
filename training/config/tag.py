"""Recipes of models that label every word: taggers, and summaries by deletion."""

from typing import Literal, Self

from pydantic import model_validator

from service.bundle.words import Cut
from training.config.recipe import TextRecipe
from training.config.sections import DataSection, EncoderSection, Fraction, Positive, Section


class TaggedData(DataSection):
    """Texts whose words have a label each."""

    format: Literal["jsonl", "columns"] = "jsonl"
    """`jsonl`: an object a line; `columns`: a word and its label a line, an empty line after each text (CoNLL)."""
    tokens: str = "tokens"
    """The field with the list of words."""
    labels: str = "labels"
    """The field with the list of their labels."""
    text_label: str = ""
    """The field with a label of the whole text, to be learned beside; empty: none."""
    words: Cut = "marks"
    """How a text is cut into words."""
    max_length: Positive = 100
    """Training texts with more subwords than this are left out."""


class CompressionData(DataSection):
    """Sentences, each with a shorter one of the same words."""

    format: Literal["tsv"] = "tsv"
    """`tsv`: the sentence, and its compression."""
    words: Cut = "edges"
    """How a text is cut into words."""
    max_length: Positive = 120
    """Training sentences with more subwords than this are left out."""


class TaggerSection(Section):
    """An encoder, and a linear layer at the last subword of each word."""

    embedding: Positive = 128
    """Size of a subword's vector."""
    dropout: Fraction = 0.3
    """On embeddings, between layers, and on the encoder's outputs."""
    token_dropout: Fraction = 0.0
    """Share of subwords shown as unknown while training."""
    chain: bool = False
    """Choose the labels of a text together, by what follows what (conditional random field, Lample et al. 2016)."""
    encoder: EncoderSection = EncoderSection()
    """What reads the text."""

    @model_validator(mode="after")
    def _takes_no_label_back(self) -> Self:
        if self.chain and not self.encoder.bidirectional:
            raise ValueError(
                "chain: wants encoder.bidirectional: in a stream a label, once said, is not taken back"
            )
        return self


class TagRecipe(TextRecipe):
    """A recipe with `task = "tag"`."""

    scores = ("f1",)
    agrees = True

    task: Literal["tag"]
    """What the model does."""
    data: TaggedData
    """What to learn from."""
    model: TaggerSection = TaggerSection()
    """What to train."""


class CompressionRecipe(TextRecipe):
    """A recipe with `task = "compress"`: summaries by deletion (Filippova et al. 2015)."""

    scores = ("f1",)
    agrees = True

    task: Literal["compress"]
    """What the model does."""
    data: CompressionData
    """What to learn from."""
    model: TaggerSection = TaggerSection()
    """What to train."""
