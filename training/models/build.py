"""From a recipe to its model."""

from collections.abc import Callable
from typing import Any

from torch import nn

from training.config import Recipe
from training.data.vocabulary import Vocabulary
from training.models.captioner import Captioner
from training.models.classifier import Classifier
from training.models.copying import CopyingSeq2Seq
from training.models.language_model import LanguageModel
from training.models.seq2seq import Seq2Seq
from training.models.stepwise import Stepwise
from training.models.tagger import Tagger

MODELS: dict[str, Callable[[Any, Vocabulary], nn.Module]] = {
    "translate": Seq2Seq.from_recipe,
    "classify": Classifier.from_recipe,
    "tag": Tagger.from_recipe,
    "compress": Tagger.from_recipe,
    "summarize": CopyingSeq2Seq.from_recipe,
    "generate": LanguageModel.from_recipe,
    "chat": LanguageModel.from_recipe,
    "transcribe": Stepwise.hearing,
    "predict": Stepwise.predicting,
    "caption": Captioner.from_recipe,
}
"""Task → how its model is made from its recipe."""


def build(recipe: Recipe, vocabulary: Vocabulary) -> nn.Module:
    """The model of this recipe with fresh weights."""
    return MODELS[recipe.task](recipe, vocabulary)
