"""Options of `seqserve serve`: settings that are given on the command line, which win over all others."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

ConfigFile = Annotated[Path | None, typer.Option(metavar="FILE", help="Settings in a TOML file.")]

OPTIONS: dict[str, tuple[str, Any]] = {
    "host": (
        "server.host",
        Annotated[str | None, typer.Option(help="Address to listen on. \\[default: 127.0.0.1]")],
    ),
    "port": (
        "server.port",
        Annotated[int | None, typer.Option(help="Port to listen on; 0 is any. \\[default: 50051]")],
    ),
    "models": (
        "models.repository",
        Annotated[
            Path | None, typer.Option(metavar="DIR", help="Folder with the models. \\[default: models]")
        ],
    ),
    "config": ("", ConfigFile),
    "store": (
        "store",
        Annotated[
            str | None,
            typer.Option(
                metavar="STORE",
                help="Where sessions outlive this process: none, sqlite, sqlite:FILE or redis://HOST:PORT. "
                "\\[default: none]",
            ),
        ],
    ),
    "workers": (
        "server.workers",
        Annotated[
            str | None,
            typer.Option(
                metavar="N", help="Processes that share the port; auto: one for each core. \\[default: 1]"
            ),
        ],
    ),
    "threads": (
        "engine.threads",
        Annotated[int | None, typer.Option(help="Threads of one model's engine. \\[default: 1]")],
    ),
    "max_batch": (
        "scheduler.max_batch",
        Annotated[int | None, typer.Option(help="Most steps in one batch. \\[default: 64]")],
    ),
    "metrics_port": (
        "server.metrics_port",
        Annotated[int | None, typer.Option(help="Port for Prometheus; 0 is off. \\[default: 0]")],
    ),
    "tls_cert": (
        "tls.cert_file",
        Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate (PEM): the port speaks TLS.")],
    ),
    "tls_key": ("tls.key_file", Annotated[Path | None, typer.Option(metavar="FILE", help="Its key (PEM).")]),
    "tls_client_ca": (
        "tls.client_ca_file",
        Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="Authorities of clients' certificates (mutual TLS)."),
        ],
    ),
    "access_keys": (
        "auth.access_keys_file",
        Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="Who may call: keys as `seqserve keys` writes them."),
        ],
    ),
    "allow_plaintext": (
        "server.allow_plaintext",
        Annotated[
            bool | None,
            typer.Option("--allow-plaintext", help="Listen without TLS where other machines can reach it."),
        ],
    ),
    "allow_anonymous": (
        "server.allow_anonymous",
        Annotated[
            bool | None, typer.Option("--allow-anonymous", help="Let callers without credentials in there.")
        ],
    ),
    "allow_open_admin": (
        "server.allow_open_admin",
        Annotated[
            bool | None,
            typer.Option("--allow-open-admin", help="Let everybody load and unload models there."),
        ],
    ),
    "open_metrics": (
        "server.open_metrics",
        Annotated[
            bool | None,
            typer.Option(
                "--open-metrics",
                help="The Prometheus page without TLS and credentials, whatever the port has.",
            ),
        ],
    ),
    "log_level": (
        "log.level",
        Annotated[str | None, typer.Option(help="debug, info, warning or error. \\[default: info]")],
    ),
    "log_format": (
        "log.format",
        Annotated[str | None, typer.Option(help="console or json. \\[default: console]")],
    ),
}
"""Parameter → the setting that it stands for, and the option. `store` stands for several; `config` for none."""


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """The command with all these options, handed to it as `config` and, as `Settings.load` wants them, `flags`."""

    @wraps(command)
    def run(**given: Any) -> None:
        asked = {name: given.pop(name) for name in OPTIONS}
        command(**given, config=asked["config"], flags=flags(asked))

    kind = inspect.Parameter.KEYWORD_ONLY
    signature = inspect.signature(command)
    own = [one for name, one in signature.parameters.items() if name not in ("config", "flags")]
    added = [
        inspect.Parameter(name, kind, default=None, annotation=option)
        for name, (_, option) in OPTIONS.items()
    ]
    named = [*(one.replace(kind=kind) for one in own), *added]
    run.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in named}
    return run


def flags(asked: dict[str, Any]) -> dict[str, Any]:
    """Section → setting → what was asked for, None where nothing was."""
    found: dict[str, Any] = {"store": store_flags(asked["store"])}
    for name, (path, _) in OPTIONS.items():
        section, dot, setting = path.partition(".")
        if dot:
            found.setdefault(section, {})[setting] = asked[name]
    return found


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
