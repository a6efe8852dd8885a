"""Sentence pairs and labelled texts from files."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from service.errors import SeqserveError
from training.config import LabelledData, PairData

Example = TypeVar("Example")


class DataError(SeqserveError):
    """A data file that is missing or malformed; the message says where and what was expected."""


class Pair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str


class Labelled(NamedTuple):
    """A text and its label."""

    text: str
    label: str


def read_pairs(root: Path, files: tuple[str, ...], data: PairData, source: str, target: str) -> list[Pair]:
    """The pairs of these files in turn; pairs with an empty side are left out. Raises DataError if none is left."""
    read = PAIR_FORMATS[data.format]
    pairs = [pair for name in files for pair in read(root, name, data, source, target)]
    return _some([pair for pair in pairs if pair.source.strip() and pair.target.strip()], files)


def read_labelled(root: Path, files: tuple[str, ...], data: LabelledData) -> list[Labelled]:
    """The labelled texts of these files in turn. Raises DataError if there is none."""
    read = LABELLED_FORMATS[data.format]
    return _some([example for name in files for example in read(root / name, data)], files)


def _pairs_from_tsv(root: Path, name: str, data: PairData, source: str, target: str) -> Iterator[Pair]:
    first, second = _column(data.columns, source), _column(data.columns, target)
    for row in _rows(root / name, len(data.columns)):
        yield Pair(row[first], row[second])


def _pairs_from_parallel(root: Path, name: str, data: PairData, source: str, target: str) -> Iterator[Pair]:
    paths = [root / name.format(language=language) for language in (source, target)]
    sides = [list(_lines(path)) for path in paths]
    if len(sides[0]) != len(sides[1]):
        raise DataError(
            f"{paths[0]} has {len(sides[0])} lines and {paths[1]} {len(sides[1])}; expected as many"
        )
    yield from map(Pair, *sides)


def _labelled_from_tsv(path: Path, data: LabelledData) -> Iterator[Labelled]:
    text, label = _column(data.columns, data.text), _column(data.columns, data.label)
    for row in _rows(path, len(data.columns)):
        yield Labelled(row[text], row[label])


def _labelled_from_jsonl(path: Path, data: LabelledData) -> Iterator[Labelled]:
    for number, line in enumerate(_lines(path), 1):
        entry = _object(path, number, line, (data.text, data.label))
        text = entry[data.text]
        yield Labelled(" ".join(text) if isinstance(text, list) else str(text), str(entry[data.label]))


PAIR_FORMATS: dict[str, Callable[[Path, str, PairData, str, str], Iterator[Pair]]] = {
    "tsv": _pairs_from_tsv,
    "parallel": _pairs_from_parallel,
}

LABELLED_FORMATS: dict[str, Callable[[Path, LabelledData], Iterator[Labelled]]] = {
    "tsv": _labelled_from_tsv,
    "jsonl": _labelled_from_jsonl,
}


def _some(examples: list[Example], files: tuple[str, ...]) -> list[Example]:
    if not examples:
        raise DataError(f"no examples in {', '.join(files)}")
    return examples


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.rstrip("\r\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8: {error}") from error


def _rows(path: Path, width: int) -> Iterator[list[str]]:
    for number, line in enumerate(_lines(path), 1):
        row = line.split("\t")
        if len(row) != width:
            raise DataError(f"{path}:{number}: {len(row)} columns, expected {width}")
        yield row


def _column(columns: tuple[str, ...], name: str) -> int:
    if name not in columns:
        raise DataError(f"no column {name!r} among data.columns: {', '.join(columns) or 'none'}")
    return columns.index(name)


def _object(path: Path, number: int, line: str, fields: tuple[str, ...]) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{number}: is not JSON: {error}") from error
    if not isinstance(entry, dict) or any(field not in entry for field in fields):
        raise DataError(f"{path}:{number}: expected an object with {' and '.join(fields)}")
    return entry
