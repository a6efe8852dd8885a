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
    held = [crc32(text(example).encode()) % data.hold_out == 0 for example in train]
    sides = (
        [each for each, is_held in zip(train, held, strict=True) if is_held is side] for side in (False, True)
    )
    kept, dev = sides
    return kept, dev
