"""`seqserve import`: a recurrent ONNX model that someone else exported becomes a bundle."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli import output
from service.cli.called import typable
from service.cli.stop import USAGE, Stop

if TYPE_CHECKING:
    from service.importing import Imported

Pairs = Annotated[
    list[str] | None,
    typer.Option(
        "--state", metavar="IN=OUT", help="An input and the output that carries it on; once for each state."
    ),
]
BatchAxes = Annotated[
    list[str] | None,
    typer.Option("--batch-axis", metavar="NAME=N", help="Which axis of an input is the batch."),
]
TimeAxes = Annotated[
    list[str] | None,
    typer.Option("--time-axis", metavar="NAME=N", help="Which axis of an input is the time."),
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="Run rows together that differ in company by so much of the largest number; else they run alone.",
    ),
]


def import_model(
    model: Annotated[Path, typer.Argument(metavar="MODEL.ONNX", help="The file.")],
    name: Annotated[str | None, typer.Option(help="What it is called. \\[default: as the file]")] = None,
    version: Annotated[str, typer.Option(help="Its version.")] = "1",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder with the models.")] = Path("models"),
    state: Pairs = None,
    batch_axis: BatchAxes = None,
    time_axis: TimeAxes = None,
    tolerance: Tolerance = None,
) -> None:
    """Make a model of a recurrent ONNX file, whoever made it.

    Which outputs carry which inputs on, and where batch and time are, is found by names and shapes, and by trying.

    \b
    seqserve import detector.onnx
    seqserve import detector.onnx --name door-opens --state h0=hn --state c0=cn
    """
    imported = imported_as(model, out, name, version, state, batch_axis, time_axis, tolerance)
    tell(imported)
    output.line(typable(f"\nServe it: seqserve serve --models {out}"))


def imported_as(
    model: Path,
    out: Path,
    name: str | None,
    version: str = "1",
    state: list[str] | None = None,
    batch_axis: list[str] | None = None,
    time_axis: list[str] | None = None,
    tolerance: float | None = None,
) -> "Imported":
    """Import, or end the command with the reason why not."""
    from service.errors import BundleRefused
    from service.importing import Wishes, import_model

    if not model.is_file():
        what = f"{model} is a folder, not an ONNX file" if model.is_dir() else f"there is no file {model}"
        raise Stop(what, USAGE)
    wishes = Wishes(
        dict(_split(each, "--state") for each in state or ()),
        {key: _number(value, "--batch-axis") for key, value in _all(batch_axis, "--batch-axis")},
        {key: _number(value, "--time-axis") for key, value in _all(time_axis, "--time-axis")},
        tolerance,
    )
    try:
        return import_model(model, out, name or name_of(model), version, wishes)
    except BundleRefused as refused:
        raise Stop(str(refused)) from None


def tell(imported: "Imported") -> None:
    """What was found, so that whoever knows the model can see whether it is right."""
    spec = imported.graph
    output.line(f"{imported.path}")
    for tensor in (*spec.inputs, *spec.outputs):
        if tensor.role != "state":
            output.line(f"  {tensor.role:6} {tensor.name} {tensor.dtype} {_axes(tensor.axes)}")
    for before, after in imported.states.items():
        output.line(f"  state  {before} → {after}")
    for line in _checks(imported):
        output.line(f"  {line}")


def name_of(model: Path) -> str:
    """A name for a model that is made of its file's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model.stem).strip("-._") or "model"


def _checks(imported: "Imported") -> list[str]:
    company, whole = imported.checked
    if imported.layout.is_single:
        rows = (
            "its file has a batch of one, so it runs one row at a time; export it with a free batch for more"
        )
    elif not company:
        rows = "rows answer the same bits in any company, so they run in batches"
    elif imported.graph.max_rows == 1:
        rows = (
            f"a row in company differs from itself alone by {company:.1e}, so it runs one row at a time; "
            f"--tolerance {company:.0e} runs them together"
        )
    else:
        rows = f"a row in company differs from itself alone by {company:.1e}, which --tolerance allows"
    if whole is None:
        return [rows, "it has no axis of time: one request is one step"]
    same = "gives the same bits as" if not whole else f"differs by {whole:.1e} from"
    return [rows, f"stepping {same} running whole"]


def _axes(axes: tuple[str | int, ...]) -> str:
    return f"[{', '.join(map(str, axes))}]"


def _all(given: list[str] | None, option: str) -> list[tuple[str, str]]:
    return [_split(each, option) for each in given or ()]


def _split(given: str, option: str) -> tuple[str, str]:
    name, equals, value = given.rpartition("=")
    if not equals or not name or not value:
        raise Stop(f"{option} wants NAME=…, not {given!r}", USAGE)
    return name, value


def _number(value: str, option: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise Stop(f"{option} wants a whole number behind the =, not {value!r}", USAGE) from None
