"""Recipes of classifiers: labelled texts, an encoder and a pooling."""

from typing import Literal, Self

from pydantic import model_validator

from training.config.recipe import TextRecipe
from training.config.sections import DataSection, EncoderSection, Fraction, Positive, Section


class LabelledData(DataSection):
    """Texts with a label each."""

    format: Literal["tsv", "jsonl", "datasets"] = "tsv"
    """`tsv`: columns; `jsonl`: an object a line; `datasets`: sets of the Hugging Face Hub ("stanfordnlp/sst2#train")
    or local files ("parquet:texts.parquet"), by the library of that name."""
    columns: tuple[str, ...] = ("label", "text")
    """The field in each TSV column, left to right."""
    label: str = "label"
    """The field that holds the label."""
    text: str = "text"
    """The field that holds the text, or its list of words."""
    max_length: Positive = 100
    """Training texts with more subwords than this are left out."""


class ClassifierSection(Section):
    """An encoder, a pooling over time, and a linear layer."""

    embedding: Positive = 128
    """Size of a subword's vector."""
    pooling: Literal["last", "max", "last-max"] = "last"
    """`last`: the final state; `max`: each unit's maximum over the positions; `last-max`: both, side by side."""
    dropout: Fraction = 0.3
    """On embeddings, between layers, and on the pooled vector."""
    token_dropout: Fraction = 0.0
    """Share of subwords shown as unknown while training."""
    word_counts: bool = False
    """Add what naive Bayes says of the text's words (Wang and Manning 2012), each text judged by the others' counts."""
    members: Positive = 1
    """Encoders that learn beside each other, alike but for where they begin; their scores are averaged (Hansen and
    Salamon 1990), and answering costs as many times as much."""
    encoder: EncoderSection = EncoderSection()
    """What reads the text."""


class ClassificationRecipe(TextRecipe):
    """A recipe with `task = "classify"`."""

    scores = ("accuracy",)
    agrees = True

    task: Literal["classify"]
    """What the model does."""
    data: LabelledData
    """What to learn from."""
    model: ClassifierSection = ClassifierSection()
    """What to train."""

    @model_validator(mode="after")
    def _counts_what_it_reads(self) -> Self:
        if self.model.word_counts and self.tokenizer.dropout:
            raise ValueError("word_counts wants texts that are always cut the same way: no tokenizer.dropout")
        return self
