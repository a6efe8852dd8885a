"""What is measured of each recipe: `evaluations/NAME.toml`, a file beside the recipe of that name."""

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

FOLDER = Path(__file__).with_name("evaluations")
RECIPES = Path(__file__).resolve().parents[2] / "training" / "recipes"


class Part(BaseModel):
    """Frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Published(Part):
    """What somebody else reached."""

    score: float | str
    """In the unit of ours, as it is printed there; a string where there is more than one number to it."""
    system: str
    source: str
    """Who wrote it, when and where in it."""
    differs: str = ""
    """What keeps it from being a peer: other test data, more training data, pretrained vectors."""


class Evaluation(Part):
    """One protocol on one test set; a line of the table, or some."""

    data: str
    """What the test set is called in the table."""
    file: str
    """Relative to the data folder; a pattern where the protocol takes several."""
    protocol: str = "evaluate"
    """A name in `protocols.PROTOCOLS`; evaluate: as `seqserve evaluate` does."""
    metric: str = ""
    """Which of the scores that `evaluate` gives is the line's own; the first, where none is named."""
    models: tuple[str, ...] = ()
    """Bundles whose mean is the score, seeds or left-out speakers; by default the recipe's own."""
    beam: int | None = None
    window: int | None = None
    """Characters after which a language model begins anew."""
    waits: tuple[int, ...] = ()
    """The k of a simultaneous translator, a line each."""
    own_tests: bool = False
    """Whether each of the models has test examples of its own, as left-out speakers have."""
    limit: int | None = None
    """Only the first so many."""
    baseline: str = ""
    """A file that a baseline is chosen on; never the test."""
    outputs: str = ""
    """A folder with outputs of others on the same test set, which are scored beside ours."""
    positive: str = ""
    """Of two labels, the one whose F1 is told beside the accuracy."""
    note: str = ""
    """What a reader of the table has to know."""
    published: tuple[Published, ...] = ()


class Evaluations(Part):
    """All of a recipe's, and the other trainings of it that they want."""

    ships: bool = True
    """Whether a model of it may be in the repository; a recipe only, where its data do not allow that."""
    variants: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Name of a bundle → keys of the recipe, such as `data.leave_out`, with what they are instead."""
    evaluation: Annotated[tuple[Evaluation, ...], Field(min_length=1)]


def evaluations_of(recipe: str) -> Evaluations:
    """Those of the recipe of this name."""
    return Evaluations.model_validate(tomllib.loads((FOLDER / f"{recipe}.toml").read_text("utf-8")))


def known() -> list[str]:
    """Every recipe with evaluations, by name."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))
