"""`seqserve compare`: which of several served models is better, and whether that may be chance."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli import measuring, output
from service.cli.evaluate import measured
from service.cli.measures import Asked, Measured
from service.cli.options import DEFAULT_ADDRESS, Address, Json, Timeout, connect
from service.cli.stop import USAGE, Stop

if TYPE_CHECKING:
    from rich.table import Table

    from training.evaluate import Compared


def compare(
    test_file: Annotated[Path, typer.Argument(help="As for seqserve evaluate.")],
    models: Annotated[
        str,
        typer.Option(
            "--models", "-m", metavar="A,B", help="Served models; the others are compared with the first."
        ),
    ],
    columns: measuring.Columns = "",
    text: measuring.Text = "",
    label: measuring.Label = "",
    beam: measuring.Beam = None,
    limit: measuring.Limit = None,
    samples: Annotated[int, typer.Option(min=100, metavar="N", help="Test sets that are drawn.")] = 1000,
    json: Json = False,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 300.0,
) -> None:
    """Measure several served models on one test set, side by side, by paired bootstrap.

    A thousand test sets are drawn from the examples of the one there is: the interval is where 95 of 100 scores lie, p
    how often chance alone makes a difference as large as the one to the first model.

    \b
    seqserve compare --models tatoeba-es-en,mine tatoeba-es-en/test.tsv
    seqserve compare --models snips-intents,smaller snips/test.jsonl
    """
    names = [name.strip() for name in models.split(",") if name.strip()]
    if len(names) < 2 or len(set(names)) < len(names):
        raise Stop("--models wants two or more names, none twice: --models first,second", USAGE)
    fields = tuple(name.strip() for name in columns.split(",") if name.strip())
    asked = Asked(test_file, fields, text, label, beam, limit)
    with connect(address, timeout) as client:
        found = [measured(client, name, asked) for name in names]
    _show(found, samples, json)


def _show(found: list[Measured], samples: int, json: bool) -> None:
    from training.evaluate import compare

    if len(metrics := {one.report.metric for one in found}) > 1:
        raise Stop(f"these models are measured in different ways: {', '.join(sorted(metrics))}")
    if len({len(one.evidence.tallies) for one in found}) > 1:
        raise Stop("these models do not read the test set as the same examples")
    compared = compare([one.evidence for one in found], samples)
    if json:
        for one, beside in zip(found, compared, strict=True):
            output.json_line(_as_json(one, beside))
    else:
        output.table(_table(found, compared))


def _as_json(one: Measured, beside: "Compared") -> dict[str, Any]:
    return asdict(one.report) | {name: round(value, 4) for name, value in beside._asdict().items()}


def _table(found: list[Measured], compared: "list[Compared]") -> "Table":
    from rich.table import Table

    table = Table(box=None)
    for column in ("model", found[0].report.metric, "95 of 100", "difference", "p", "tokens/s"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for at, (one, beside) in enumerate(zip(found, compared, strict=True)):
        table.add_row(
            one.report.model,
            f"{beside.score:.2f}",
            f"{beside.low:.2f} to {beside.high:.2f}",
            f"{beside.difference:+.2f}" if at else "",
            f"{beside.p:.3f}" if at else "",
            f"{one.report.tokens_per_s:,.0f}",
        )
    return table
