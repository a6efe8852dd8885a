"""Examples to select on, where the data bring none: some of the training examples are held out."""

from collections.abc import Callable
from typing import TypeVar
from zlib import crc32

from training.config import DataSection

Example = TypeVar("Example")
Files = tuple[str, ...]


def read_both(
    read: Callable[[Files], list[Example]], data: DataSection, text: Callable[[Example], str]
) -> tuple[list[Example], list[Example]]:
    """Train and dev. With `hold_out` a text's checksum decides, so equal texts are never on both sides."""
    train = read(data.train)
    if not data.hold_out:
        return train, read(data.dev)
    kept, dev = (_side(train, data, text, held=side) for side in (False, True))
    return kept, dev


def read_dev(
    read: Callable[[Files], list[Example]], data: DataSection, text: Callable[[Example], str]
) -> list[Example]:
    """Dev alone; the training files are read only where dev is a part of them."""
    return _side(read(data.train), data, text, held=True) if data.hold_out else read(data.dev)


def _side(
    examples: list[Example], data: DataSection, text: Callable[[Example], str], *, held: bool
) -> list[Example]:
    return [one for one in examples if (crc32(text(one).encode()) % data.hold_out == 0) is held]
