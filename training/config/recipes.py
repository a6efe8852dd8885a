"""Which recipes there are, and how one is read from its file."""

import tomllib
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from service.errors import SeqserveError
from training.config.caption import CaptionRecipe
from training.config.classify import ClassificationRecipe
from training.config.generate import ChatRecipe, LanguageModelRecipe
from training.config.predict import PredictionRecipe
from training.config.recipe import Recipe
from training.config.sections import Section
from training.config.summarize import SummaryRecipe
from training.config.tag import CompressionRecipe, TagRecipe
from training.config.transcribe import TranscriptionRecipe
from training.config.translate import TranslationRecipe

RECIPES: dict[str, type[Recipe]] = {
    "translate": TranslationRecipe,
    "classify": ClassificationRecipe,
    "tag": TagRecipe,
    "compress": CompressionRecipe,
    "summarize": SummaryRecipe,
    "generate": LanguageModelRecipe,
    "chat": ChatRecipe,
    "transcribe": TranscriptionRecipe,
    "predict": PredictionRecipe,
    "caption": CaptionRecipe,
}


class RecipeError(SeqserveError):
    """A recipe that cannot be used; the message names each wrong key and what would be right."""


def load_recipe(path: Path) -> Recipe:
    """Raises RecipeError for a file that is missing, is not TOML, or does not fit."""
    try:
        return parse_recipe(tomllib.loads(path.read_text("utf-8")), str(path))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: is not TOML: {error}") from error


def parse_recipe(tables: dict[str, Any], where: str = "recipe") -> Recipe:
    """The recipe that these tables hold; `where` begins the message of the error."""
    task = tables.get("task")
    if not isinstance(task, str) or task not in RECIPES:
        raise RecipeError(f"{where}: task is {task!r}; valid tasks: {', '.join(RECIPES)}")
    kind = RECIPES[task]
    try:
        return kind.model_validate(tables)
    except ValidationError as error:
        raise RecipeError("\n".join(f"{where}: {line}" for line in _complaints(kind, error))) from None


def _complaints(kind: type[Section], error: ValidationError) -> list[str]:
    return [_complaint(kind, item["loc"], item["type"], item["msg"]) for item in error.errors()]


def _complaint(kind: type[Section], place: tuple[int | str, ...], problem: str, message: str) -> str:
    key = ".".join(map(str, place))
    if problem != "extra_forbidden":
        return f"{key}: {message}"
    valid = ", ".join(_section(kind, place[:-1]).model_fields)
    return f"unknown key {key}; valid keys here: {valid}"


def _section(kind: type[Section], place: tuple[int | str, ...]) -> type[Section]:
    for key in place:
        annotation = kind.model_fields[str(key)].annotation
        choices = [annotation, *get_args(annotation)]
        kind = next(choice for choice in choices if isinstance(choice, type) and issubclass(choice, Section))
    return kind
