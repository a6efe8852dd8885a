"""Lines, rows and objects of data files, and the error that says where a file is wrong."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from service.errors import SeqserveError

Example = TypeVar("Example")


class DataError(SeqserveError):
    """A data file that is missing or malformed; the message says where and what was expected."""


def some(examples: list[Example], files: tuple[str, ...]) -> list[Example]:
    """The examples; DataError where there is none."""
    if not examples:
        raise DataError(f"no examples in {', '.join(files)}")
    return examples


def lines(path: Path) -> Iterator[str]:
    """Each line without its end, which is a line feed or a carriage return and a line feed."""
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.rstrip("\r\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8: {error}") from error


def rows(path: Path, width: int) -> Iterator[list[str]]:
    """The cells of each line of a TSV file; DataError where there are not `width` of them."""
    for number, line in enumerate(lines(path), 1):
        row = line.split("\t")
        if len(row) != width:
            raise DataError(f"{path}:{number}: {len(row)} columns, expected {width}")
        yield row


def column(columns: tuple[str, ...], name: str) -> int:
    """Where it stands; DataError where it does not."""
    if name not in columns:
        raise DataError(f"no column {name!r} among data.columns: {', '.join(columns) or 'none'}")
    return columns.index(name)


def entry_of(path: Path, number: int, line: str, fields: tuple[str, ...]) -> dict[str, Any]:
    """The object that is line `number` of a JSONL file; DataError where it is none, or lacks a field."""
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{number}: is not JSON: {error}") from error
    if not isinstance(entry, dict) or any(field not in entry for field in fields):
        raise DataError(f"{path}:{number}: expected an object with {' and '.join(fields)}")
    return entry
