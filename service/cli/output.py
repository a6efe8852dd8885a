"""What the commands write to stdout: lines, tokens, JSON; a reader who has gone ends the command quietly."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from service.cli.stop import BROKEN_PIPE

if TYPE_CHECKING:
    from rich.table import Table

WIDE = 200
"""Columns."""


def on_terminal() -> bool:
    """Whether a person reads along."""
    return sys.stdout.isatty()


def in_colour() -> bool:
    """Whether a person reads along who has not said NO_COLOR (https://no-color.org)."""
    return on_terminal() and not os.environ.get("NO_COLOR")


def line(text: str) -> None:
    """Write a line at once: whoever reads the pipe may be waiting for it."""
    piece(text + "\n")


def piece(text: str) -> None:
    """Write a part of a line at once."""
    with _reader_may_go():
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
        sys.stdout.buffer.flush()


def json_line(value: dict[str, Any]) -> None:
    line(json.dumps(value, ensure_ascii=False))


def size(num_bytes: int) -> str:
    """In the unit that leaves one to three digits before the point."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= scale:
            return f"{num_bytes / scale:.1f} {unit}"
    return f"{num_bytes} B"


def table(rows: "Table", spare: Sequence[str] = ()) -> None:
    """Write a table as wide as the terminal; as wide as it wants to be where there is none.

    The columns `spare` are left out one after the other where the terminal is too narrow for all.
    """
    from rich.console import Console

    console = Console(width=None if on_terminal() else WIDE)
    for title in spare:
        if rows.__rich_measure__(console, console.options.update(max_width=WIDE)).maximum <= console.width:
            break
        _leave_out(rows, title)
    with console.capture() as capture:
        console.print(rows)
    piece("".join(f"{row.rstrip()}\n" for row in capture.get().splitlines()))


def _leave_out(rows: "Table", title: str) -> None:
    rows.columns = [column for column in rows.columns if column.header != title]
    for index, column in enumerate(rows.columns):
        column._index = index


@contextmanager
def _reader_may_go() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing to complain about at exit
        raise typer.Exit(BROKEN_PIPE) from None
