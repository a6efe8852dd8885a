"""What an export asks of each task: graphs, checks, answers on dev, facts for the manifest; and a table of them."""

from typing import Any

from training.export.run import Run
from training.export.tasks.base import Export
from training.export.tasks.caption import CaptionExport
from training.export.tasks.classify import ClassificationExport
from training.export.tasks.generate import ChatExport, GenerationExport
from training.export.tasks.predict import PredictionExport
from training.export.tasks.summarize import SummaryExport
from training.export.tasks.tag import CompressionExport, TagExport
from training.export.tasks.transcribe import TranscriptionExport
from training.export.tasks.translate import TranslationExport

AnyExport = Export[Any, Any]

EXPORTS: dict[str, type[AnyExport]] = {
    "translate": TranslationExport,
    "classify": ClassificationExport,
    "tag": TagExport,
    "compress": CompressionExport,
    "summarize": SummaryExport,
    "generate": GenerationExport,
    "chat": ChatExport,
    "transcribe": TranscriptionExport,
    "predict": PredictionExport,
    "caption": CaptionExport,
}


def export_of(run: Run[Any, Any]) -> AnyExport:
    """The export of this run's task."""
    return EXPORTS[run.recipe.task](run)
