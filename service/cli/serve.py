"""`seqserve serve`."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli import import_model
from service.cli.stop import USAGE, Stop
from service.cli.welcome import welcome

if TYPE_CHECKING:
    from service.config import Settings


AllowPlaintext = Annotated[
    bool | None,
    typer.Option("--allow-plaintext", help="Listen without TLS where other machines can reach it."),
]
AllowAnonymous = Annotated[
    bool | None, typer.Option("--allow-anonymous", help="Let callers without credentials in there.")
]
AllowOpenAdmin = Annotated[
    bool | None, typer.Option("--allow-open-admin", help="Let everybody load and unload models there.")
]
OpenMetrics = Annotated[
    bool | None,
    typer.Option(
        "--open-metrics", help="The Prometheus page without TLS and credentials, whatever the port has."
    ),
]


def serve(
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="[MODEL.ONNX]",
            help="A recurrent ONNX model, imported for this run and served alone.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 is any. [default: 50051]")] = None,
    models: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with the models. [default: models]")
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Settings in a TOML file.")] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            help="Where sessions outlive this process: none, sqlite, sqlite:FILE or redis://HOST:PORT. [default: none]",
        ),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Processes that share the port; auto: one for each core. [default: 1]"
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of one model's engine. [default: 1]")] = None,
    max_batch: Annotated[int | None, typer.Option(help="Most steps in one batch. [default: 64]")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Port for Prometheus; 0 is off. [default: 0]")
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate (PEM): the port speaks TLS.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key (PEM).")] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Authorities of clients' certificates (mutual TLS).")
    ] = None,
    access_keys: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Who may call: keys as `seqserve keys` writes them.")
    ] = None,
    allow_plaintext: AllowPlaintext = None,
    allow_anonymous: AllowAnonymous = None,
    allow_open_admin: AllowOpenAdmin = None,
    open_metrics: OpenMetrics = None,
    log_level: Annotated[
        str | None, typer.Option(help="debug, info, warning or error. [default: info]")
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="console or json. [default: console]")] = None,
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
    flags = {
        "server": {
            "host": host,
            "port": port,
            "workers": workers,
            "metrics_port": metrics_port,
            "allow_plaintext": allow_plaintext,
            "allow_anonymous": allow_anonymous,
            "allow_open_admin": allow_open_admin,
            "open_metrics": open_metrics,
        },
        "tls": {"cert_file": tls_cert, "key_file": tls_key, "client_ca_file": tls_client_ca},
        "auth": {"access_keys_file": access_keys},
        "models": {"repository": models},
        "store": store_flags(store),
        "engine": {"threads": threads},
        "scheduler": {"max_batch": max_batch},
        "log": {"level": log_level, "format": log_format},
    }
    if model is None:
        _serve(config, flags)
    elif models is not None:
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


def _check_alone(settings: "Settings") -> None:
    """An import brings ONNX Runtime into this process, which workers cannot be forked from then."""
    if settings.server.workers > 1:
        raise Stop(
            "a file is served by one process: bring it into a folder with seqserve import first", USAGE
        )


def store_flags(given: str | None) -> dict[str, Any]:
    """The settings that `--store` stands for."""
    if given is None:
        return {}
    kind, _, where = given.partition(":")
    if kind in ("redis", "rediss", "unix"):
        return {"kind": "redis", "url": given}
    if kind == "sqlite" and where:
        return {"kind": "sqlite", "path": where}
    return {"kind": given}


def _settings(config: Path | None, flags: dict[str, Any]) -> "Settings":
    from service.config import Settings
    from service.errors import ConfigRefused

    try:
        return Settings.load(config, flags)
    except ConfigRefused as refused:
        raise Stop(str(refused), USAGE) from None
