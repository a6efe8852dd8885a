"""What differs between the tasks: examples, vocabulary, objective and the scores on dev; and a table of them."""

from pathlib import Path
from typing import Any

from training.config import Recipe
from training.data.vocabulary import Vocabulary
from training.fit.tasks.base import Task
from training.fit.tasks.caption import Captioning
from training.fit.tasks.chat import Chat
from training.fit.tasks.classify import Classification
from training.fit.tasks.generate import Generation
from training.fit.tasks.predict import Prediction
from training.fit.tasks.summarize import Summarization
from training.fit.tasks.tag import Compression, Tagging
from training.fit.tasks.transcribe import Transcription
from training.fit.tasks.translate import Translation

AnyTask = Task[Any, Any]

TASKS: dict[str, type[AnyTask]] = {
    "translate": Translation,
    "classify": Classification,
    "tag": Tagging,
    "compress": Compression,
    "summarize": Summarization,
    "generate": Generation,
    "chat": Chat,
    "transcribe": Transcription,
    "predict": Prediction,
    "caption": Captioning,
}


def open_task(recipe: Recipe, root: Path, vocabulary: Vocabulary | None = None) -> AnyTask:
    """Reads the data below `root`, and learns from them what of the vocabulary is not given."""
    return TASKS[recipe.task](recipe, root, vocabulary or Vocabulary())
