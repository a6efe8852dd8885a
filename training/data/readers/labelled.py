"""Texts with a label each."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from training.config import LabelledData
from training.data.readers.files import column, entry_of, lines, rows, some


class Labelled(NamedTuple):
    """A text and its label."""

    text: str
    label: str


def read_labelled(root: Path, files: tuple[str, ...], data: LabelledData) -> list[Labelled]:
    """The labelled texts of these files in turn. Raises DataError if there is none."""
    read = LABELLED_FORMATS[data.format]
    return some([example for name in files for example in read(root / name, data)], files)


def _labelled_from_tsv(path: Path, data: LabelledData) -> Iterator[Labelled]:
    text, label = column(data.columns, data.text), column(data.columns, data.label)
    for row in rows(path, len(data.columns)):
        yield Labelled(row[text], row[label])


def _labelled_from_jsonl(path: Path, data: LabelledData) -> Iterator[Labelled]:
    for number, line in enumerate(lines(path), 1):
        entry = entry_of(path, number, line, (data.text, data.label))
        text = entry[data.text]
        yield Labelled(" ".join(text) if isinstance(text, list) else str(text), str(entry[data.label]))


LABELLED_FORMATS: dict[str, Callable[[Path, LabelledData], Iterator[Labelled]]] = {
    "tsv": _labelled_from_tsv,
    "jsonl": _labelled_from_jsonl,
}
