"""Recipes of models that read series of numbers: a label for each reading, or a forecast of the next one."""

from typing import Annotated, Literal

from pydantic import Field

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
    scaling: Literal["fixed", "running"] = "fixed"
    """fixed: by mean and deviation of train; running: by those of each series itself up to each reading, for series of
    different size."""
    train_part: Part = (0.0, 1.0)
    """Which part of each file of train is learned from: from a share of its lines to another."""
    dev_part: Part = (0.0, 1.0)
    """The same for dev."""
    window: Positive = 128
    """Readings in an example; each begins where half of the one before it has passed."""


class PredictionRecipe(Recipe):
    """A recipe with `task = "predict"`."""

    task: Literal["predict"]
    """What the model does."""
    data: SeriesData
    """What to learn from."""
    model: StepwiseSection = StepwiseSection()
    """What to train."""
