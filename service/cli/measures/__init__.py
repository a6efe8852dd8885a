"""How good a served model is, a file for each kind of answer; and the table: task → its measure."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from service.cli.measures import exact, labels, language, signals, translations, words
from service.cli.measures.report import Asked, Measured, Report

if TYPE_CHECKING:
    from service.client import Client, Model

Measure = Callable[["Client", "Model", Asked], Measured]

MEASURES: dict[str, Measure] = {
    "translate": translations.measure,
    "classify": labels.measure,
    "generate": language.measure_text,
    "chat": language.measure_dialogues,
    "tag": words.measure_tags,
    "summarize": words.measure_summaries,
    "transcribe": signals.transcripts,
    "predict": signals.predictions,
    "caption": signals.captions,
}
"""What is not here cannot be measured by `seqserve evaluate`."""

OTHERS: dict[str, dict[str, Measure]] = {"translate": {"bleu": translations.measure, "exact": exact.measure}}
"""Those that a bundle's manifest or `--measure` may name."""

__all__ = ["MEASURES", "OTHERS", "Asked", "Measure", "Measured", "Report"]
