"""Texts with a label each."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from training.config import LabelledData
from training.data.readers.files import column, entry_of, lines, rows, some
from training.data.readers.hub import entries


class Labelled(NamedTuple):
    """A text and its label."""

    text: str
    label: str


def read_labelled(root: Path, files: tuple[str, ...], data: LabelledData) -> list[Labelled]:
    """The labelled texts of these files in turn. Raises DataError if there is none."""
    read = LABELLED_FORMATS[data.format]
    return some([example for name in files for example in read(root, name, data)], files)


def _labelled_from_tsv(root: Path, name: str, data: LabelledData) -> Iterator[Labelled]:
    text, label = column(data.columns, data.text), column(data.columns, data.label)
    for row in rows(root / name, len(data.columns)):
        yield Labelled(row[text], row[label])


def _labelled_from_jsonl(root: Path, name: str, data: LabelledData) -> Iterator[Labelled]:
    path = root / name
    for number, line in enumerate(lines(path), 1):
        entry = entry_of(path, number, line, (data.text, data.label))
        yield _labelled(entry[data.text], entry[data.label])


def _labelled_from_datasets(root: Path, name: str, data: LabelledData) -> Iterator[Labelled]:
    for text, label in entries(root, name, (data.text, data.label)):
        yield _labelled(text, label)


def _labelled(text: Any, label: Any) -> Labelled:
    return Labelled(" ".join(text) if isinstance(text, list) else str(text), str(label))


LABELLED_FORMATS: dict[str, Callable[[Path, str, LabelledData], Iterator[Labelled]]] = {
    "tsv": _labelled_from_tsv,
    "jsonl": _labelled_from_jsonl,
    "datasets": _labelled_from_datasets,
}
