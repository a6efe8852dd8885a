"""Options that several commands share."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.access import how
from service.cli.completion import DEFAULT_ADDRESS as DEFAULT_ADDRESS
from service.cli.completion import model_names
from service.cli.source import Errors

if TYPE_CHECKING:
    from service.client import Client, Reconnecting, Resumed

Address = Annotated[
    str,
    typer.Option(
        "--address",
        "-a",
        envvar="SEQSERVE_ADDRESS",
        metavar="HOST:PORT",
        help="The server, or several: HOST:PORT,HOST:PORT.",
        show_default=True,
    ),
]
Timeout = Annotated[float, typer.Option("--timeout", min=0.001, metavar="S", help="Seconds for one request.")]
Texts = Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="The words of one text.")]
File = Annotated[
    Path | None,
    typer.Option("--file", "-f", metavar="FILE", help="Read texts from a file, one a line; - is stdin."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for machines.")]
Model = Annotated[
    str,
    typer.Option(
        "--model", "-m", metavar="NAME", help="Choose the model by name.", autocompletion=model_names
    ),
]
Truncate = Annotated[bool, typer.Option("--truncate", help="Cut texts that are too long for the model.")]
Invalid = Annotated[
    Errors,
    typer.Option(
        "--errors", help="What to do with bytes that are not UTF-8: refuse the text, or replace them."
    ),
]


def connect(address: str, timeout: float) -> "Client":
    from service.client import Client  # gRPC takes a moment to import

    return Client(address, timeout=timeout, max_attempts=3, watch=_tell, **how())


def _tell(event: "Reconnecting | Resumed") -> None:
    """A dim line when a session's stream breaks, and one when it goes on."""
    if told := _told(event):
        begin = "\r\x1b[K" if sys.stderr.isatty() else ""
        typer.secho(begin + told, err=True, dim=True)


def _told(event: "Reconnecting | Resumed") -> str:
    from service.client import Resumed

    if isinstance(event, Resumed):
        again = f", {event.num_replayed} sent again" if event.num_replayed else ""
        return f"… resumed after {event.seconds:.1f} s: nothing lost, nothing done twice{again}"
    what = str(event.error).partition(" (")[0]  # without gRPC's words for it
    return f"{what}; reconnecting …" if event.attempt == 1 else ""
