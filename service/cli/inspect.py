"""`seqserve inspect`."""

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli import output
from service.cli.stop import USAGE, Stop

if TYPE_CHECKING:
    from service.bundle import Bundle
    from service.cli.looking.matrix import Matrix
    from service.registry import Served

DEFAULT_UNITS = "0-15"
TELLING = "telling"
"""Stands for the units that tell kinds of characters apart."""


def inspect(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A name, name/version, or a bundle's folder.")
    ],
    text: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Look inside while it reads this.")
    ] = None,
    models: Annotated[
        Path, typer.Option("--models", envvar="SEQSERVE_MODELS__REPOSITORY", help="The folder of all models.")
    ] = Path("models"),
    look_at: Annotated[
        list[str] | None,
        typer.Option(
            "--look-at", "-l", metavar="NAME", help="Which gate or cell, such as encoder_f_0; again for more."
        ),
    ] = None,
    units: Annotated[
        str,
        typer.Option(
            metavar="N-M,N", help="Which units of it; telling: those that forget at marks, spaces, …"
        ),
    ] = DEFAULT_UNITS,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it into a picture, too.")] = None,
    json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Show a model: its graphs, its state, its scores; and for a text, what goes on inside.

    With a text: the attention matrix of a model that writes with attention; else, or with --look-at, gates and cells,
    input by input, of a model that was exported with traces. No server is needed.

    \b
    seqserve inspect tatoeba-es-en
    seqserve inspect tatoeba-es-en "¿Dónde está la biblioteca?" --png attention.png
    seqserve inspect tinyshakespeare "To be, or not to be" --look-at encoder_f_0 --units telling
    """
    from service.cli.looking.local import bundle_of

    chosen, bundle = _units(units), bundle_of(model, models)
    if not text:
        if png:
            raise Stop("a picture is drawn of what happens with a text; give one", USAGE)
        _show(bundle, json)
        return
    if bundle.manifest.task in ("transcribe", "predict", "caption", "tensors"):
        raise Stop(f"{bundle.manifest.name} reads no text: its task is {bundle.manifest.task}", USAGE)
    matrices = _inside(bundle, " ".join(text), look_at or [], chosen)
    if units == TELLING:
        from service.cli.looking.telling import telling

        matrices = [telling(matrix) for matrix in matrices]
    if png:
        from service.cli.looking.picture import save

        save(png, matrices)
    if json:
        from service.cli.looking.inside import as_json

        name = f"{bundle.manifest.name}/{bundle.manifest.version}"
        output.json_line({"model": name, "matrices": [*map(as_json, matrices)]})
    else:
        _draw(matrices)


def _show(bundle: "Bundle", json: bool) -> None:
    from service.cli.looking import bundle as shown

    if json:
        output.json_line(shown.as_json(bundle))
        return
    for table in shown.tables(bundle):
        output.table(table)
        output.line("")
    if scores := shown.scores(bundle):
        output.line(f"Scores, from its card:\n\n{scores}")


def _inside(bundle: "Bundle", text: str, names: list[str], units: list[int]) -> "list[Matrix]":
    from service.cli.looking.inside import told
    from service.cli.looking.local import served
    from service.errors import SeqserveError

    with served(bundle) as one:
        try:
            return asyncio.run(_looked(one, text, names, units))
        except SeqserveError as error:
            raise told(error) from None


async def _looked(served: "Served", text: str, names: list[str], units: list[int]) -> "list[Matrix]":
    from service.cli.looking.inside import attends, attention, traces

    if attends(served) and not names:
        return [await attention(served, text)]
    return await traces(served, text, names, units)


def _draw(matrices: "list[Matrix]") -> None:
    from service.cli.looking.terminal import lines

    width = shutil.get_terminal_size((output.WIDE, 0)).columns
    for matrix in matrices:
        for line in lines(matrix, width, output.in_colour()):
            output.line(line)


def _units(text: str) -> list[int]:
    """`0-3,8` → 0, 1, 2, 3, 8; all there may be, where they are chosen by what they tell."""
    if text == TELLING:
        from service.tasks.look import MAX_UNIT

        return list(range(MAX_UNIT + 1))
    try:
        parts = [part.partition("-") for part in text.split(",")]
        ranges = [range(int(low), int(high or low) + 1) for low, _, high in parts]
        if not all(ranges):
            raise ValueError
        return [unit for each in ranges for unit in each]
    except ValueError:
        raise Stop(f"--units takes numbers and ranges such as 0-15,40, not {text!r}", USAGE) from None
