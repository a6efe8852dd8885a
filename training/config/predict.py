"""Recipes of models that read series of numbers: a label for each reading, or a forecast of the next one."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.config.recipe import Recipe
from training.config.sections import DataSection, Positive
from training.config.transcribe import StepwiseSection

Share = Annotated[float, Field(ge=0, le=1)]
Part = tuple[Share, Share]


class SeriesData(DataSection):
    """Series of readings: CSV files (or patterns such as `folder/*.csv`) whose first line names the columns."""

    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    """What a reading is: the columns that the model sees."""
    label: str = ""
    """The column of a reading's label; left out: the model forecasts the next reading."""
    label_names: dict[str, str] = Field(default_factory=dict)
    """What labels are called, where the files have mere numbers."""
    scaling: Literal["fixed", "running", "recent"] = "fixed"
    """fixed: by mean and deviation of train; running: by those of each series itself up to each reading, for series of
    different size; recent: as distances from means of its recent past, for labels that tell of changes."""
    half_lives: tuple[Annotated[float, Field(gt=0, le=1e6)], ...] = ()
    """recent: for each mean after how many readings it has forgotten half of what it knew."""
    train_part: Part = (0.0, 1.0)
    """Which part of each file of train is learned from: from a share of its lines to another."""
    dev_part: Part = (0.0, 1.0)
    """The same for dev."""
    window: Positive = 128
    """Readings in an example; each begins where half of the one before it has passed. With `hold_out` every so many-th
    stretch of this length is dev instead."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.scaling == "recent") != bool(self.half_lives):
            raise ValueError('scaling = "recent" wants half_lives, and no other has any')
        if self.half_lives and not self.label:
            raise ValueError("what is scaled by its recent past cannot be forecast; a label is missing")
        if self.hold_out == 1:
            raise ValueError("hold_out = 1 leaves nothing to learn from")
        return self


class PredictionRecipe(Recipe):
    """A recipe with `task = "predict"`."""

    task: Literal["predict"]
    """What the model does."""
    data: SeriesData
    """What to learn from."""
    model: StepwiseSection = StepwiseSection()
    """What to train."""
