"""How commands get in at a server: TLS, a token and how urgent it is, from options, files and the environment.

A token never stands on a command line, where whoever lists processes could read it.
"""

import inspect
import os
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

if TYPE_CHECKING:
    from service.client import Tls

C = TypeVar("C", bound=Callable[..., Any])

PANEL = "Getting in"
TOKEN = "SEQSERVE_TOKEN"


class Urgent(StrEnum):
    """For typer."""

    high = "high"
    normal = "normal"
    low = "low"


def _file(name: str, help_text: str) -> Any:
    envvar = "SEQSERVE_" + name.strip("-").upper().replace("-", "_")
    option = typer.Option(name, envvar=envvar, metavar="FILE", help=help_text, rich_help_panel=PANEL)
    return Annotated[Path | None, option]


OPTIONS: dict[str, Any] = {
    "tls": Annotated[
        bool, typer.Option("--tls", envvar="SEQSERVE_TLS", help="Speak TLS.", rich_help_panel=PANEL)
    ],
    "ca_file": _file("--ca-file", "Authorities that the server is checked against (PEM); speaks TLS."),
    "client_cert": _file("--client-cert", "Certificate to show (PEM); speaks TLS."),
    "client_key": _file("--client-key", "Its key (PEM)."),
    "token_file": _file("--token-file", f"Access key or token; or in the environment: {TOKEN}."),
    "priority": Annotated[
        Urgent,
        typer.Option(
            "--priority",
            envvar="SEQSERVE_PRIORITY",
            help="Who goes first where the server cannot do all at once.",
            rich_help_panel=PANEL,
        ),
    ],
}
"""What every command that speaks to a server takes besides its own."""
DEFAULTS: dict[str, Any] = {"tls": False, "priority": Urgent.normal}
"""None where nothing else is said."""

GIVEN: ContextVar[Mapping[str, Any]] = ContextVar("GIVEN", default=MappingProxyType({}))


def with_access(command: C) -> C:
    """The command with these options added, which `how` knows while it runs."""
    signature = inspect.signature(command)
    kind, hints = inspect.Parameter.KEYWORD_ONLY, get_type_hints(command, include_extras=True)
    added = [
        inspect.Parameter(name, kind, default=DEFAULTS.get(name), annotation=annotation)
        for name, annotation in OPTIONS.items()
    ]

    def run(**given: Any) -> Any:
        GIVEN.set({name: given.pop(name) for name in OPTIONS})
        return command(**given)

    own = [each.replace(kind=kind) for each in signature.parameters.values()]
    run.__doc__, run.__name__ = command.__doc__, command.__name__
    run.__annotations__ = hints | OPTIONS
    run.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    return run  # type: ignore[return-value]


def how() -> dict[str, Any]:
    """The arguments `tls`, `token` and `priority` of a client."""
    given = GIVEN.get()
    token: str | Path | None = given.get("token_file") or os.environ.get(TOKEN) or None
    return {"tls": _tls(given), "token": token, "priority": str(given.get("priority", Urgent.normal))}


def _tls(given: Mapping[str, Any]) -> "bool | Tls":
    from service.client import Tls

    tls = Tls(given.get("ca_file"), given.get("client_cert"), given.get("client_key"))
    return tls if tls != Tls() else bool(given.get("tls"))
