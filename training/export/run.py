"""A finished training run, as it lies in its folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from training.config import Recipe, load_recipe, parse_recipe
from training.data.vocabulary import Vocabulary
from training.export.check import ExportRefused
from training.models.build import build

R = TypeVar("R", bound=Recipe)
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Run(Generic[R, M]):
    """A model with what it was made from; R is its task's recipe, M its model."""

    recipe: R
    model: M
    vocabulary: Vocabulary

    @classmethod
    def read(cls, folder: Path, recipe_file: Path | None = None) -> "Run[Any, Any]":
        """Take `[export]` from `recipe_file`, or from the run's own copy; ExportRefused where no run was finished."""
        averaged = folder / "averaged.pt"
        if not averaged.exists():
            raise ExportRefused(
                f"{folder}: no averaged.pt, so no finished run; `seqserve train` writes it at its end"
            )
        saved = torch.load(averaged, map_location="cpu", weights_only=True)
        trained = parse_recipe(saved["config"], str(averaged))
        wanted = load_recipe(recipe_file or folder / "recipe.toml").export
        recipe = trained.model_copy(update={"export": wanted})
        vocabulary = Vocabulary.read(folder)
        model = build(recipe, vocabulary)
        model.load_state_dict(saved["model"])
        return Run(recipe, model.eval(), vocabulary)

    @property
    def num_parameters(self) -> int:
        """Weights of the model, tied ones counted once."""
        return sum(weight.numel() for weight in self.model.parameters())
