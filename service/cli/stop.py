"""How a command ends early."""

import typer

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
    typer.echo(f"seqserve: {message}", err=True)
    return code
