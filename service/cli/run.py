"""Runs one command line: what went wrong becomes one or two lines on stderr and an exit code.

0: done. 1: it could not be done. 2: the command line, or the text it was given, is wrong. 130: interrupted.
"""

import errno
import os
import sys
from collections.abc import Sequence

import typer

from service.cli.stop import BROKEN_PIPE, FAILURE, INTERRUPTED, USAGE, Stop, complain
from service.cli.wording import in_words

UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""Why what a command says cannot be written, with nothing wrong in the command."""


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
    except SystemExit as ended:  # what the parser makes of a reader who leaves while it writes its help
        if isinstance(ended.__context__, BrokenPipeError):
            return BROKEN_PIPE
        raise
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # what is left would fail again at exit
        return complain(f"what there is to say cannot be written: {error.strerror}", FAILURE)
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
        return complain(in_words(error, "the text"), _code(error))
    raise error


def _code(error: Exception) -> int:
    from service.client.errors import InvalidRequest

    return USAGE if isinstance(error, InvalidRequest) else FAILURE


def _expected() -> tuple[type[Exception], ...]:
    from service.client.errors import ClientError
    from service.errors import SeqserveError

    return ClientError, SeqserveError
