"""What the recipes of all tasks say."""

from typing import ClassVar, Self

from pydantic import model_validator

from training.config.sections import DataSection, ExportSection, Section, TokenizerSection, TrainingSection


class Recipe(Section):
    """What every recipe says; each task's own class narrows `task`, `data` and `model`."""

    name: str
    """Name of the model."""
    task: str
    """What the model does."""
    seed: int = 1
    """Of initial weights, dropout and the order of batches."""
    data: DataSection
    """What to learn from."""
    model: Section
    """What to train."""
    training: TrainingSection = TrainingSection()
    """How to train it."""
    export: ExportSection = ExportSection()
    """What its bundle says."""

    scores: ClassVar[tuple[str, ...]] = ()
    """Names of what is told after each epoch beside the loss, and is the better the more it is."""
    agrees: ClassVar[bool] = False
    """Whether its loss knows `training.r_drop`."""

    @model_validator(mode="after")
    def _selects_by_what_is_told(self) -> Self:
        select = self.training.select
        if select not in ("loss", *self.scores):
            known = ", ".join(("loss", *self.scores))
            raise ValueError(f"training.select is {select!r}; this recipe has {known}")
        if select != "loss" and not self.training.score_examples:
            raise ValueError(f"training.select is {select!r}, which wants score_examples above 0")
        return self

    @model_validator(mode="after")
    def _agrees_where_it_can(self) -> Self:
        if self.training.r_drop and not self.agrees:
            known = "label texts or their words, translate or summarize"
            raise ValueError(f"training.r_drop is for recipes that {known}, not {self.task}")
        return self


class TextRecipe(Recipe):
    """What recipes say whose models read or write text."""

    source: str
    """Language code of what the model reads."""
    tokenizer: TokenizerSection = TokenizerSection()
    """How text becomes subwords."""
