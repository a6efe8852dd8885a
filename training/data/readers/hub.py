"""Examples from the library `datasets`: sets of the Hugging Face Hub, and local files of any kind that it reads.

"wmt16/de-en#train"          the set `wmt16` in its configuration `de-en`, split `train`
"parquet:pairs.parquet"      a local file, relative to the data folder: json, csv, parquet, arrow, text
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from training.data.readers.files import DataError

LOCAL = ("json", "csv", "parquet", "arrow", "text")
"""Kinds of local files."""


def entries(root: Path, name: str, fields: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The fields of each example; `translation.en` is the field `en` within `translation`. Raises DataError."""
    try:
        import datasets  # type: ignore[import-untyped]
    except ImportError:
        raise DataError(f"{name}: needs the library datasets: pip install 'seqserve[datasets]'") from None
    try:
        examples = _loaded(datasets, root, name)
        for number, example in enumerate(examples):
            yield tuple(_field(name, number, example, field) for field in fields)
    except DataError:
        raise
    except Exception as error:  # the library and its readers raise anything
        raise DataError(f"{name}: cannot be read by datasets: {error}") from error


def _loaded(datasets: Any, root: Path, name: str) -> Any:
    kind, colon, file = name.partition(":")
    if colon and kind in LOCAL:
        if not (root / file).is_file():
            raise DataError(f"{root / file}: cannot be read: there is no such file")
        return datasets.load_dataset(kind, data_files=str(root / file), split="train", streaming=True)
    place, _, split = name.partition("#")
    if not split:
        raise DataError(
            f"{name}: wants a split, such as {place}#train; or a local file, such as json:{place}.json"
        )
    path, _, configuration = place.partition("/") if place.count("/") == 1 else (place, "", "")
    return datasets.load_dataset(path, configuration or None, split=split)


def _field(name: str, number: int, example: Any, field: str) -> Any:
    value = example
    for part in field.split("."):
        if not isinstance(value, dict) or part not in value:
            there = ", ".join(map(str, value)) if isinstance(value, dict) else "nothing"
            raise DataError(f"{name}, example {number}: no field {field!r}; there are: {there}")
        value = value[part]
    return value
