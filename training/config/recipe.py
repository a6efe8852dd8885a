"""What the recipes of all tasks say."""

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


class TextRecipe(Recipe):
    """What recipes say whose models read or write text."""

    source: str
    """Language code of what the model reads."""
    tokenizer: TokenizerSection = TokenizerSection()
    """How text becomes subwords."""
