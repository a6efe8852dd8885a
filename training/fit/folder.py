"""The folder of a run: what is in it, and that a started run is gone on with, not written over.

recipe.toml, and of tokenizer.json, labels.txt, features.json what the task has: what the run is
last.pt                                     where it stands
start.pt                                    what it began with, where that stays a part of what it ends with
best-{cost}-{epoch}.pt                      the best checkpoints, best first
averaged.pt                                 their mean, and of the start what stays: what `seqserve export` takes
log.jsonl  curve.png  tensorboard/          how it went
"""

from pathlib import Path
from typing import Any

from training.config import Recipe, RecipeError, load_recipe
from training.data.vocabulary import Vocabulary
from training.fit import checkpoints
from training.fit.average import Weights, average, mixed

FREE = {"name", "seed", "training", "export"}
"""Parts of a recipe that may change between the sittings of one run."""


class Folder:
    """Files of one run, each written atomically."""

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self.path = path
        self._recipe = recipe
        self._start = path / "start.pt"

    def open(self, recipe_file: Path) -> None:
        """Makes the folder; raises RecipeError when it holds a run of another recipe."""
        checkpoints.make_folder(self.path)
        mine = self.path / "recipe.toml"
        if mine.exists():
            self._refuse_another(load_recipe(mine))
        checkpoints.write_bytes(mine, recipe_file.read_bytes())

    def read_vocabulary(self) -> Vocabulary:
        """As much of the run's vocabulary as is there yet."""
        return Vocabulary.read(self.path)

    def write_vocabulary(self, vocabulary: Vocabulary) -> None:
        """`tokenizer.json`, `labels.txt`, `features.json`: what the task has."""
        for name, content in vocabulary.files().items():
            checkpoints.write_bytes(self.path / name, content.encode())

    def read_last(self) -> dict[str, Any] | None:
        """Where the run stands, if it has begun."""
        path = self.path / "last.pt"
        return checkpoints.load(path) if path.exists() else None

    def write_last(self, state: dict[str, Any]) -> None:
        """Where the run stands."""
        checkpoints.save(self.path / "last.pt", state)

    def write_start(self, weights: Weights | None) -> None:
        """Keeps what the run begins with, where a share of it is to stay; RecipeError where it began with chance."""
        if not self._recipe.training.keep_start or self._start.exists():
            return
        if weights is None:
            raise RecipeError("training.keep_start keeps a share of what a run began with: give it --start")
        checkpoints.save(self._start, {"model": weights})

    def keep_best(self, epoch: int, cost: float, weights: Weights, keep: int) -> None:
        """Writes these weights if they are among the `keep` of the least cost on dev, and removes what then is not."""
        name = f"best-{cost:09.5f}-{epoch:03d}.pt"
        better = [path for path in self.best() if path.name < name]
        if len(better) < keep:
            checkpoints.save(self.path / name, {"model": weights, "cost": cost, "epoch": epoch})
        for path in self.best()[keep:]:
            path.unlink()

    def best(self) -> list[Path]:
        """The best checkpoints, best first: their names begin with the cost."""
        return sorted(self.path.glob("best-*.pt"))

    def read_average(self) -> Weights:
        """What `write_average` wrote."""
        weights: Weights = checkpoints.load(self.path / "averaged.pt")["model"]
        return weights

    def write_average(self) -> None:
        """The mean of the best checkpoints and what stays of the start, with the recipe to build the model by."""
        weights, share = average(self.best()), self._recipe.training.keep_start
        if share:
            weights = mixed(weights, checkpoints.load(self._start)["model"], share)
        config = self._recipe.model_dump(mode="json")
        checkpoints.save(self.path / "averaged.pt", {"config": config, "model": weights})

    def _refuse_another(self, earlier: Recipe) -> None:
        parts = [part for part in type(self._recipe).model_fields if part not in FREE]
        others = [part for part in parts if getattr(earlier, part, None) != getattr(self._recipe, part)]
        if earlier.training.select != self._recipe.training.select:
            others.append("training.select")
        if others:
            raise RecipeError(
                f"{self.path} holds a run with another {others[0]}; give another --out or remove it"
            )
