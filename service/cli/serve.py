"""`seqserve serve`."""

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli import import_model
from service.cli.settings import with_settings
from service.cli.stop import USAGE, Stop
from service.cli.welcome import welcome

if TYPE_CHECKING:
    from service.config import Settings


@with_settings
def serve(
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="MODEL.ONNX",
            help="A recurrent ONNX model, imported for this run and served alone.",
            show_default=False,
        ),
    ] = None,
    *,
    config: Path | None,
    flags: dict[str, Any],
) -> None:
    """Serve the models of a folder until Ctrl-C or SIGTERM; running requests are finished first.

    Flags win over the environment (SEQSERVE_SERVER__PORT=50052), which wins over the file.

    \b
    seqserve serve
    seqserve serve --models ./models --port 50052 --metrics-port 9090
    seqserve serve --store sqlite:sessions.sqlite
    seqserve serve --workers auto
    seqserve serve detector.onnx
    """
    if model is None:
        _serve(config, flags)
    elif model.is_dir():
        command = f"seqserve serve --models {shlex.quote(str(_repository_of(model)))}"
        raise Stop(
            f"{model} is a folder, and one model's file was expected; for all of a folder: {command}", USAGE
        )
    elif flags["models"]["repository"] is not None:
        raise Stop(
            "a file is served alone: leave --models out, or import it there with seqserve import", USAGE
        )
    else:
        _check_alone(_settings(config, flags))
        with tempfile.TemporaryDirectory(prefix="seqserve-") as folder:
            import_model.tell(import_model.imported_as(model, Path(folder), None))
            _serve(config, {**flags, "models": {"repository": folder}})


def _serve(config: Path | None, flags: dict[str, Any]) -> None:
    settings = _settings(config, flags)
    on_start = welcome if settings.log.format == "console" else None
    if settings.server.workers > 1:
        from service.workers import supervise

        raise typer.Exit(supervise(settings, on_start))
    from service import server  # ONNX Runtime takes a moment to import

    server.serve(settings, on_start)


def _repository_of(folder: Path) -> Path:
    """The folder that has the models, where this is one of its models, or a version of one."""
    from service.bundle.files import MANIFEST

    if (folder / MANIFEST).exists():
        return folder.parent.parent
    return folder.parent if any(folder.glob(f"*/{MANIFEST}")) else folder


def _check_alone(settings: "Settings") -> None:
    """An import brings ONNX Runtime into this process, which workers cannot be forked from then."""
    if settings.server.workers > 1:
        raise Stop(
            "a file is served by one process: bring it into a folder with seqserve import first", USAGE
        )


def _settings(config: Path | None, flags: dict[str, Any]) -> "Settings":
    from service.config import Settings
    from service.errors import ConfigRefused

    try:
        return Settings.load(config, flags)
    except ConfigRefused as refused:
        raise Stop(str(refused), USAGE) from None
