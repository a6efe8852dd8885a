"""Another run, whose encoder and tokenizer a run takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from training.config import Recipe, RecipeError, TranslationRecipe, parse_recipe
from training.data.vocabulary import Vocabulary
from training.fit import checkpoints
from training.fit.average import Weights


@dataclass(frozen=True)
class Lender:
    """A finished run."""

    weights: Weights
    vocabulary: Vocabulary

    @classmethod
    def of(cls, recipe: Recipe, out: Path) -> Self | None:
        """The one that a recipe names, in the folder beside the run's own; RecipeError where it does not fit."""
        if not isinstance(recipe, TranslationRecipe) or not recipe.shared or not recipe.shared.encoder_of:
            return None
        folder = out.absolute().parent / recipe.shared.encoder_of
        averaged = folder / "averaged.pt"
        if not averaged.exists():
            raise RecipeError(
                f"{averaged} is not there: train {recipe.shared.encoder_of} first, into {folder}"
            )
        saved = checkpoints.load(averaged)
        _check(recipe, parse_recipe(saved["config"], str(averaged)), folder)
        return cls(saved["model"], Vocabulary.read(folder))


def _check(recipe: TranslationRecipe, lender: Recipe, folder: Path) -> None:
    if not isinstance(lender, TranslationRecipe) or lender.shared is None:
        raise RecipeError(f"{folder} holds no model whose encoder can be shared: its recipe has no [shared]")
    mine = recipe.model.encoder, recipe.model.embedding, recipe.source
    if mine != (lender.model.encoder, lender.model.embedding, lender.source):
        raise RecipeError(
            f"source, model.embedding and model.encoder have to be those of {folder}, whose encoder is taken"
        )
