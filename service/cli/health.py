"""`seqserve health`."""

from typing import Annotated

import typer

from service.cli import output
from service.cli.options import DEFAULT_ADDRESS, Address, Timeout, connect
from service.cli.stop import Stop


def health(
    service: Annotated[
        str, typer.Argument(metavar="[SERVICE]", help="Ask for one service, or for `store`, alone.")
    ] = "",
    address: Address = DEFAULT_ADDRESS,
    timeout: Timeout = 5.0,
) -> None:
    """Ask a server whether it serves; the exit code is 0 only if it does. For containers and scripts.

    \b
    seqserve health
    seqserve health store --address 10.0.0.7:50051
    """
    with connect(address, timeout) as client:
        if not client.serves(service):
            raise Stop(f"{service or 'the server'} does not serve")
    output.line("serving")
