"""`seqserve health`."""

from typing import Annotated

import typer

from service.cli import output
from service.cli.options import DEFAULT_ADDRESS, Address, Timeout, connect
from service.cli.stop import Stop


def health(
    service: Annotated[
        str,
        typer.Argument(
            metavar="[SERVICE]",
            help="Ask for one service or part alone: `store`, or a model as NAME/VERSION.",
        ),
    ] = "",
    parts: Annotated[bool, typer.Option("--parts", help="Ask for all parts, and tell each of them.")] = False,
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 5.0,
) -> None:
    """Ask a server whether it serves; the exit code is 0 only if it does. For containers and scripts.

    A part that fails leaves the server serving; with --parts it counts, too. The server's log says why it fails.

    \b
    seqserve health
    seqserve health store --address 10.0.0.7:50051
    seqserve health --parts
    """
    with connect(address, timeout) as client:
        if parts:
            _tell(client.parts())
            return
        if not client.serves(service):
            raise Stop(f"{service or 'the server'} does not serve")
    output.line("serving")


def _tell(found: dict[str, bool]) -> None:
    for name, works in found.items():
        output.line(f"{name or 'server'}\t{'serving' if works else 'not serving'}")
    failing = [name or "the server" for name, works in found.items() if not works]
    if failing:
        raise Stop(
            f"{', '.join(failing)} {'do' if len(failing) > 1 else 'does'} not serve; the server's log says why"
        )
