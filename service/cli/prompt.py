"""A prompt: each line is answered, mistakes are explained, Ctrl-D ends."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from service.cli import source
from service.cli.stop import Stop, complain
from service.cli.wording import in_words

if TYPE_CHECKING:
    from service.client.errors import ClientError


def ask_again(prompt: str, errors: source.Errors, answer: Callable[[str], None]) -> None:
    from service.client.errors import ClientError

    _edit_lines()
    typer.echo("Type a line and press Enter; Ctrl-D ends.", err=True)
    while (text := _asked(prompt, errors)) is not None:
        if source.is_blank(text):
            continue
        try:
            answer(text)
        except ClientError as error:
            if _is_for_good(error):
                raise
            complain(in_words(error, "the text"), 0)


def _is_for_good(error: "ClientError") -> bool:
    """Whether no other text would fare better: no server, no such model, not let in, a wrong option."""
    from service.client.errors import InvalidRequest, NotAllowed, NotFound, NotSupported, Unavailable

    if isinstance(error, InvalidRequest):
        return error.field.startswith(("model", "options"))
    return isinstance(error, Unavailable | NotFound | NotAllowed | NotSupported)


def _asked(prompt: str, errors: source.Errors) -> str | None:
    while True:
        try:
            return source.from_arguments([input(prompt)], errors)
        except EOFError:
            typer.echo("", err=True)
            return None
        except Stop as stop:
            complain(str(stop), 0)


def _edit_lines() -> None:
    """Arrow keys and history, where this Python has them."""
    with suppress(ImportError):
        import readline  # noqa: F401 - importing it is what changes `input`
