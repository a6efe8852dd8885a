"""Texts whose words have a label each."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from service.bundle.words import Cut, words_of
from training.config import TaggedData
from training.data.readers.files import DataError, entry_of, lines, some


class Tagged(NamedTuple):
    """Tokens as the data have them, with their labels, and the label of the whole text where it has one."""

    tokens: tuple[str, ...]
    labels: tuple[str, ...]
    text_label: str = ""

    @property
    def text(self) -> str:
        """The tokens with spaces between."""
        return " ".join(self.tokens)

    def words(self, cut: Cut) -> "Words":
        """The tokens cut as a server cuts the text; parts of one token go on with its label."""
        words, labels, tokens = [], [], []
        for number, (token, label) in enumerate(zip(self.tokens, self.labels, strict=True)):
            for part, word in enumerate(words_of(token, cut)):
                words.append(word.text)
                labels.append(f"I-{label[2:]}" if part and label.startswith("B-") else label)
                tokens.append(number)
        return Words(words, labels, tokens)

    def label_tokens(self, words: "Words", labels: list[str]) -> list[str]:
        """What labels of the words say of the tokens: that of the first word of each."""
        found = ["O"] * len(self.tokens)
        for number, label in reversed(list(zip(words.tokens, labels, strict=True))):
            found[number] = label
        return found


class Words(NamedTuple):
    """Words, their labels, and of which token each is a part."""

    words: list[str]
    labels: list[str]
    tokens: list[int]


def read_tagged(root: Path, files: tuple[str, ...], data: TaggedData) -> list[Tagged]:
    """The labelled texts of these files in turn. Raises DataError if there is none."""
    read = TAGGED_FORMATS[data.format]
    return some([example for name in files for example in read(root / name, data)], files)


def _tagged_from_jsonl(path: Path, data: TaggedData) -> Iterator[Tagged]:
    wanted = tuple(filter(None, (data.tokens, data.labels, data.text_label)))
    for number, line in enumerate(lines(path), 1):
        entry = entry_of(path, number, line, wanted)
        tokens, labels = (tuple(map(str, entry[field])) for field in (data.tokens, data.labels))
        if len(tokens) != len(labels):
            counts = f"{len(tokens)} {data.tokens}, {len(labels)} {data.labels}"
            raise DataError(f"{path}:{number}: {counts}; expected as many")
        yield Tagged(tokens, labels, str(entry[data.text_label]) if data.text_label else "")


def _tagged_from_columns(path: Path, data: TaggedData) -> Iterator[Tagged]:
    """The word in the first column, its label in the last."""
    rows: list[list[str]] = []
    for number, line in enumerate([*lines(path), ""], 1):
        cells = line.split()
        if len(cells) == 1:
            raise DataError(f"{path}:{number}: a word without a label")
        if cells:
            rows.append(cells)
        elif rows:
            yield Tagged(tuple(row[0] for row in rows), tuple(row[-1] for row in rows))
            rows = []


TAGGED_FORMATS: dict[str, Callable[[Path, TaggedData], Iterator[Tagged]]] = {
    "jsonl": _tagged_from_jsonl,
    "columns": _tagged_from_columns,
}
