"""How a command ends early."""

import typer

from service.cli.called import typable

FAILURE = 1
USAGE = 2
INTERRUPTED = 130
BROKEN_PIPE = 141
"""What a shell reports for a program that SIGPIPE ended."""


class Stop(Exception):
    """Ends the command with a message for people and an exit code."""

    def __init__(self, message: str, code: int = FAILURE) -> None:
        super().__init__(message)
        self.code = code


def complain(message: str, code: int) -> int:
    typer.echo(f"seqserve: {typable(message)}", err=True)
    return code
