"""Runs one command line: what went wrong becomes one or two lines on stderr and an exit code.

0: done. 1: it could not be done. 2: the command line, or the text it was given, is wrong. 130: interrupted.
"""

import sys
from collections.abc import Sequence

import typer

from service.cli.source import in_words
from service.cli.stop import FAILURE, INTERRUPTED, Stop, complain


def run(arguments: Sequence[str]) -> int:
    """Return the exit code; only a fault in seqserve itself raises."""
    try:
        return _done(_app()(args=list(arguments), prog_name="seqserve", standalone_mode=False))
    except (KeyboardInterrupt, typer.Abort):
        if sys.stderr.isatty():
            typer.echo("", err=True)  # the shell's prompt begins a line of its own
        return INTERRUPTED
    except Stop as stop:
        return complain(str(stop), stop.code)
    except Exception as error:
        return _explained(error)


def _app() -> typer.Typer:
    from service.cli.app import app

    return app


def _done(code: object) -> int:
    sys.stdout.flush()
    return code if isinstance(code, int) else 0


def _explained(error: Exception) -> int:
    if hasattr(error, "format_message"):  # the parser's errors; typer has no public name for all of them
        command = getattr(getattr(error, "ctx", None), "command_path", "seqserve")
        return complain(f"{error.format_message()}\nHelp: {command} --help", getattr(error, "exit_code", 2))
    if isinstance(error, _expected()):
        return complain(in_words(error, "the text"), FAILURE)
    raise error


def _expected() -> tuple[type[Exception], ...]:
    from service.client.errors import ClientError
    from service.errors import SeqserveError

    return ClientError, SeqserveError
