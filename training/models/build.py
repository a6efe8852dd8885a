"""From a recipe to its model."""

from training.config import ClassificationRecipe, Recipe, TranslationRecipe
from training.models.classifier import Classifier
from training.models.seq2seq import Seq2Seq

Model = Seq2Seq | Classifier


def build(recipe: Recipe, vocab_size: int, num_labels: int = 0) -> Model:
    """The model of this recipe with fresh weights."""
    if isinstance(recipe, ClassificationRecipe):
        return Classifier(recipe.model, vocab_size, num_labels)
    assert isinstance(recipe, TranslationRecipe)
    return Seq2Seq(recipe.model, vocab_size)
