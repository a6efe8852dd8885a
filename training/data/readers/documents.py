"""Documents: running text, and dialogues."""

from collections.abc import Callable, Iterator
from pathlib import Path

from training.config.generate import DialogueData, Part, TextData
from training.data.readers.files import DataError, entry_of, lines, some


def read_text(root: Path, files: tuple[str, ...], data: TextData, part: Part) -> list[str]:
    """A part of the documents of these files in turn. Raises DataError if there is none."""
    read = DOCUMENT_FORMATS[data.format]
    return some([document for name in files for document in read(root / name, part)], files)


def read_dialogues(root: Path, files: tuple[str, ...], data: DialogueData) -> list[list[str]]:
    """The turns of each dialogue of these files in turn. Raises DataError if there is none."""
    return some([turns for name in files for turns in _dialogues(root / name, data)], files)


def _whole(path: Path, part: Part) -> Iterator[str]:
    try:
        text = path.read_bytes().decode("utf-8")  # line ends as they are
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8: {error}") from error
    if chosen := text[_within(part, len(text))]:
        yield chosen


def _lines(path: Path, part: Part) -> Iterator[str]:
    found = [line for line in lines(path) if line.strip()]
    yield from found[_within(part, len(found))]


def _within(part: Part, number: int) -> slice:
    start, stop = part
    return slice(int(start * number), int(stop * number))


def _dialogues(path: Path, data: DialogueData) -> Iterator[list[str]]:
    for number, line in enumerate(lines(path), 1):
        turns = entry_of(path, number, line, (data.turns,))[data.turns]
        if not isinstance(turns, list) or not all(isinstance(turn, str) for turn in turns):
            raise DataError(f"{path}:{number}: expected {data.turns} to be a list of texts")
        yield turns


DOCUMENT_FORMATS: dict[str, Callable[[Path, Part], Iterator[str]]] = {"text": _whole, "lines": _lines}
