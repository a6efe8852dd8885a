"""Recipes of models that write summaries with a decoder that may copy (See et al. 2017)."""

from typing import Literal

from training.config.recipe import TextRecipe
from training.config.sections import Positive
from training.config.translate import PairData, Seq2SeqSection


class SummaryData(PairData):
    """Texts, each with its summary."""

    text: str = "text"
    """The column, or field, of the text."""
    summary: str = "summary"
    """The column, or field, of the summary."""
    max_length: Positive = 200
    """Training texts with more subwords than this are left out."""


class SummaryRecipe(TextRecipe):
    """A recipe with `task = "summarize"`."""

    scores = ("rouge_1", "rouge_2", "rouge_l")
    agrees = True

    task: Literal["summarize"]
    """What the model does."""
    data: SummaryData
    """What to learn from."""
    model: Seq2SeqSection = Seq2SeqSection()
    """What to train; it needs an attention, which is what it copies by."""
