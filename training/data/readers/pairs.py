"""Sentence pairs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from training.config import PairData
from training.data.readers.files import DataError, column, entry_of, lines, rows, some
from training.data.readers.hub import entries


class Pair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str


def read_pairs(root: Path, files: tuple[str, ...], data: PairData, source: str, target: str) -> list[Pair]:
    """The pairs of these files in turn; pairs with an empty side are left out. Raises DataError if none is left."""
    read = PAIR_FORMATS[data.format]
    pairs = [pair for name in files for pair in read(root, name, data, source, target)]
    return some([pair for pair in pairs if pair.source.strip() and pair.target.strip()], files)


def _pairs_from_tsv(root: Path, name: str, data: PairData, source: str, target: str) -> Iterator[Pair]:
    first, second = column(data.columns, source), column(data.columns, target)
    for row in rows(root / name, len(data.columns)):
        yield Pair(row[first], row[second])


def _pairs_from_parallel(root: Path, name: str, data: PairData, source: str, target: str) -> Iterator[Pair]:
    paths = [root / name.format(language=language) for language in (source, target)]
    sides = [list(lines(path)) for path in paths]
    if len(sides[0]) != len(sides[1]):
        raise DataError(
            f"{paths[0]} has {len(sides[0])} lines and {paths[1]} {len(sides[1])}; expected as many"
        )
    yield from map(Pair, *sides)


def _pairs_from_jsonl(root: Path, name: str, data: PairData, source: str, target: str) -> Iterator[Pair]:
    for number, line in enumerate(lines(root / name), 1):
        entry = entry_of(root / name, number, line, (source, target))
        yield Pair(str(entry[source]), str(entry[target]))


def _pairs_from_datasets(root: Path, name: str, data: PairData, source: str, target: str) -> Iterator[Pair]:
    named = dict(zip(data.columns, data.fields or data.columns, strict=True))
    column(data.columns, source), column(data.columns, target)
    for first, second in entries(root, name, (named[source], named[target])):
        yield Pair(str(first), str(second))


PAIR_FORMATS: dict[str, Callable[[Path, str, PairData, str, str], Iterator[Pair]]] = {
    "tsv": _pairs_from_tsv,
    "parallel": _pairs_from_parallel,
    "jsonl": _pairs_from_jsonl,
    "datasets": _pairs_from_datasets,
}
