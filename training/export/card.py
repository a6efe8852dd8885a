"""The model card: what a bundle's README.md says to people."""

from pathlib import Path

from service.bundle.manifest import Manifest
from training.config import Recipe
from training.export.tasks.base import Facts

CARD = """# {name}, version {version}

{description}

| | |
|---|---|
| task | {task} |
| parameters | {parameters}, {precision} |
| input in pieces (streams) | {streams} |
| recipe | `training/recipes/{name}.toml` |

## What it is for

{use}

## Data and licence

{data}

## Scores

{scores}

They were measured through a running server with

    {command}

and stand beside those of others in `docs/scores.md`, which `python -m benchmarks.scores` writes.

## On dev

{on_dev}

## Where it fails

{limits}
"""


def write_card(path: Path, recipe: Recipe, manifest: Manifest, facts: Facts) -> None:
    """Write the card of `recipe`; what its `[export]` table does not tell is named as missing."""
    wanted = recipe.export
    text = CARD.format(
        name=manifest.name,
        version=manifest.version,
        description=wanted.description or "(no description)",
        task=manifest.task + _languages(manifest),
        parameters=_parameters(manifest.num_parameters),
        precision=manifest.precision,
        streams="yes" if manifest.streams else f"no: {manifest.why_not_streaming}",
        use=wanted.use or "Not described yet.",
        data=wanted.data or "Not stated in the recipe.",
        scores=wanted.scores or "Not measured yet.",
        command=_command(recipe.name, facts),
        on_dev=facts.on_dev or "Not measured: the bundle was exported without `--data`.",
        limits=wanted.failures or "Not described yet.",
    )
    path.write_text(text, "utf-8")


def _parameters(number: int) -> str:
    return f"{number / 1e6:.1f} M" if number >= 100_000 else f"{number:,}"


def _languages(manifest: Manifest) -> str:
    return f", {manifest.source_language} → {manifest.target_language}" if manifest.target_language else ""


def _command(model: str, facts: Facts) -> str:
    return " ".join(filter(None, ("seqserve evaluate --model", model, facts.evaluate_options, "TEST_FILE")))
