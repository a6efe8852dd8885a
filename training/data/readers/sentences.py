"""Sentences, each with a shorter one of the same words."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from training.config import CompressionData
from training.data.readers.files import rows, some


class Compressed(NamedTuple):
    """A sentence and what was made of it by leaving words out."""

    text: str
    shorter: str


def read_compressed(root: Path, files: tuple[str, ...], data: CompressionData) -> list[Compressed]:
    """The sentences of these files in turn. Raises DataError if there is none."""
    read = COMPRESSED_FORMATS[data.format]
    found = [example for name in files for example in read(root / name)]
    return some([each for each in found if each.text.strip() and each.shorter.strip()], files)


def _compressed_from_tsv(path: Path) -> Iterator[Compressed]:
    for row in rows(path, 2):
        yield Compressed(*row)


COMPRESSED_FORMATS: dict[str, Callable[[Path], Iterator[Compressed]]] = {"tsv": _compressed_from_tsv}
