"""Other trainings of a recipe, which some scores want: seeds, left-out speakers. Each is the recipe but for some keys.

`python -m benchmarks.scores.variants fsdd-digits --data DATA` trains and exports them one after the other; what
is there already is gone on with, or left as it is.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.scores.evaluation import RECIPES, evaluations_of, known


def write_variants(folder: Path, recipe: str) -> dict[str, Path]:
    """The recipes of all of its variants, by name."""
    written = {}
    for name, changes in evaluations_of(recipe).variants.items():
        written[name] = folder / f"{name}.toml"
        written[name].write_text(_as_toml(_changed(recipe, name, changes)), "utf-8")
    return written


def main(
    recipe: Annotated[str, typer.Argument(help=f"One of: {', '.join(known())}.")],
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs"),
    models: Annotated[Path, typer.Option(help="Model repository to export into.")] = Path("models"),
    only: Annotated[str, typer.Option(help="Only these, separated by commas.")] = "",
) -> None:
    """Train and export the variants of a recipe."""
    runs.mkdir(parents=True, exist_ok=True)
    for name, path in write_variants(runs, recipe).items():
        if (models / name).exists() or (only and name not in only.split(",")):
            continue
        _seqserve("train", str(path), "--data", str(data), "--out", str(runs / name))
        _seqserve("export", str(runs / name), "--models", str(models), "--data", str(data))


def _seqserve(*arguments: str) -> None:
    print("seqserve", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "service", *arguments], check=True)


def _changed(recipe: str, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    tables = tomllib.loads((RECIPES / f"{recipe}.toml").read_text("utf-8"))
    tables["name"] = name
    for place, value in changes.items():
        *above, key = place.split(".")
        table = tables
        for part in above:
            table = table.setdefault(part, {})
        table[key] = value
    return tables


def _as_toml(tables: Mapping[str, Any]) -> str:
    """What a recipe holds is, but for its tables, written alike in TOML and in JSON."""
    return "\n".join(_lines(tables, ()))


def _lines(table: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[str]:
    below = {key: value for key, value in table.items() if isinstance(value, dict)}
    if place:
        yield f"[{'.'.join(map(json.dumps, place))}]"
    for key, value in table.items():
        if key not in below:
            yield f"{json.dumps(key)} = {json.dumps(value)}"
    for key, value in below.items():
        yield from _lines(value, (*place, key))


if __name__ == "__main__":
    typer.run(main)
