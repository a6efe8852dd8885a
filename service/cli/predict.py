"""`seqserve predict`."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli import output, source
from service.cli.chosen import only, streaming
from service.cli.options import DEFAULT_ADDRESS, Address, Json, Timeout, connect
from service.cli.options import Model as ModelName
from service.cli.source import Errors
from service.cli.stop import USAGE, Stop

if TYPE_CHECKING:
    from service.client import Client, Model, PredictedStep


def predict(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="CSV whose first line names the columns; - or none is stdin."),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Answer each line as it comes, through a session.")
    ] = False,
    horizon: Annotated[
        int, typer.Option(min=0, metavar="N", help="Print the N readings after the last, as forecast.")
    ] = 0,
    model: ModelName = "",
    json: Json = False,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 60.0,
) -> None:
    """Label readings, or forecast the next one and tell how strange each was.

    A line for each reading: label, tab, probability; or anomaly score, tab, the next reading as forecast. Columns are
    found by the names that the model knows (seqserve models NAME); others are left out.

    \b
    seqserve predict --model occupancy room.csv
    seqserve predict --model nab --horizon 24 traffic.csv
    sensor | seqserve predict --model nab --live
    """
    if live and horizon:
        raise Stop("--horizon is for whole series; with --live each line gives the next reading", USAGE)
    with connect(address, timeout) as client:
        if live:
            _live(client, streaming(client, "predict", model), file, json)
        else:
            _whole(client, only(client, "predict", model), file, horizon, json)


def _whole(client: "Client", model: "Model", file: Path | None, horizon: int, json: bool) -> None:
    with source.opened(file) as descriptor:
        series = list(_readings(source.lines(descriptor, Errors.REPLACE), model))
    if not series:
        raise Stop("there are no readings in it", USAGE)
    with source.naming("series[0]", str(file or "stdin")):
        found = client.predict(series, model=model.name, version=model.version, horizon=horizon)
    if not horizon:
        for step in found.steps:
            _print(step, json)
        return
    if not json:
        output.line(",".join(model.feature_names))
    for reading in found.ahead:
        if json:
            output.json_line(dict(zip(model.feature_names, reading, strict=True)))
        else:
            output.line(",".join(f"{number:g}" for number in reading))


def _live(client: "Client", model: "Model", file: Path | None, json: bool) -> None:
    with (
        source.opened(file) as descriptor,
        client.session(model=model.name, version=model.version) as session,
    ):
        for reading in _readings(source.lines(descriptor, Errors.REPLACE), model):
            for step in session.feed_features([reading]).steps:
                _print(step, json)


def _readings(lines: Iterable[str], model: "Model") -> Iterator[list[float]]:
    """The wanted numbers of each line; blank lines are left out. Stop says which line is wrong."""
    from service.bundle.columns import Columns  # and what the bundle needs
    from service.errors import InvalidInput

    columns: Columns | None = None
    for number, line in enumerate(lines, 1):
        if source.is_blank(line):
            continue
        try:
            if columns is None:
                columns, is_header = Columns.of(line, model.feature_names)
                if is_header:
                    continue
            yield columns.numbers(line)
        except InvalidInput as error:
            raise Stop(f"line {number}: {error}", USAGE) from None


def _print(step: "PredictedStep", json: bool) -> None:
    if json:
        output.json_line(_as_json(step))
    elif step.labels:
        output.line(f"{step.labels[0].label}\t{step.labels[0].probability:.4f}")
    else:
        output.line("\t".join([f"{step.anomaly_score:.3f}", *(f"{number:g}" for number in step.forecast)]))


def _as_json(step: "PredictedStep") -> dict[str, Any]:
    if step.labels:
        best = step.labels[0]
        labels = {one.label: one.probability for one in step.labels}
        return {"label": best.label, "probability": best.probability, "labels": labels}
    return {"anomaly_score": step.anomaly_score, "forecast": list(step.forecast)}
