"""The commands of training, mounted by `seqserve`."""

from pathlib import Path
from typing import Annotated

import typer

from service.errors import SeqserveError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Train and export models.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def main() -> None:
    """Train and export models."""


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe: a TOML file, see training/recipes.")],
    data: Annotated[Path, typer.Option(help="Folder that the recipe's file names are relative to.")],
    out: Annotated[
        Path, typer.Option(help="Folder of the run; a run that it already holds is gone on with.")
    ],
    max_minutes: Annotated[float | None, typer.Option(help="Budget of the run, over the recipe's.")] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            help="Begin with the weights and the vocabulary of this bundle, or of this finished run."
        ),
    ] = None,
) -> None:
    """Train a model from a recipe."""
    from training.export.recall import start_from  # torch takes seconds to import
    from training.fit.train import train as run

    try:
        start_of = (lambda recipe: start_from(start, recipe)) if start else None
        finished = run(recipe, data, out, max_minutes, start_of)
    except SeqserveError as error:
        typer.echo(f"seqserve: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{'finished' if finished else 'stopped; the same command goes on'}: {out}", err=True)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    models: Annotated[Path, typer.Option(help="Model repository to write the bundle into.")] = Path("models"),
    recipe: Annotated[
        Path | None, typer.Option(help="Take [export] from this recipe instead of the run's own copy.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the recipe's data: measure on dev what int8 loses.")
    ] = None,
) -> None:
    """Write a run's model as a bundle: models/<name>/<version>."""
    from training.export import bundle  # torch takes seconds to import

    try:
        bundle.export(run, models, recipe, data, tell=lambda line: typer.echo(line, err=True))
    except SeqserveError as error:
        typer.echo(f"seqserve: {error}", err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
