"""Where the commands' text comes from: arguments, a file, a pipe, or a person at the prompt."""

import os
import sys
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

from service.cli.stop import USAGE, Stop
from service.cli.wording import in_words

R = TypeVar("R")

CHUNK_BYTES = 64 * 1024


class Errors(StrEnum):
    """What to do with bytes that are not UTF-8."""

    REFUSE = "refuse"
    REPLACE = "replace"


def from_arguments(words: list[str], errors: Errors, file: Path | None = None) -> str:
    """The words of one text, as a shell would echo them; Stop where there is a file to read, too."""
    if file is not None:
        raise Stop(f"a text and --file {file} cannot be read at once; give one of them", USAGE)
    return decoded(os.fsencode(" ".join(words)), "the text", errors)


def from_prompt() -> bool:
    """Whether there is a person to ask: nothing was given, and stdin is a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


@contextmanager
def opened(file: Path | None) -> Iterator[int]:
    """The descriptor of a file, or of stdin where none, or `-`, is named."""
    if file is None or str(file) == "-":
        yield 0
        return
    try:
        descriptor = os.open(file, os.O_RDONLY)
        if file.is_dir():
            raise IsADirectoryError(0, "it is a folder")
    except OSError as error:
        raise Stop(f"cannot read {file}: {error.strerror}", USAGE) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def lines(descriptor: int, errors: Errors) -> Iterator[str]:
    """The lines, as they come; only LF and CRLF end a line."""
    for number, raw in enumerate(_raw_lines(descriptor), 1):
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        yield decoded(raw.removesuffix(b"\r"), f"line {number}", errors)


def decoded(raw: bytes, what: str, errors: Errors) -> str:
    try:
        return raw.decode("utf-8", "replace" if errors is Errors.REPLACE else "strict")
    except UnicodeDecodeError as error:
        byte = raw[error.start]
        raise Stop(
            f"{what} is not valid UTF-8: byte 0x{byte:02x} at position {error.start + 1}.\n"
            "Convert the text (iconv -t UTF-8), or let such bytes be replaced: --errors replace",
            USAGE,
        ) from None


def answered(
    texts: Iterable[str], answer: Callable[[Iterable[str]], Iterator[R]]
) -> Iterator[tuple[str, R | None]]:
    """Each line with its answer, in order; blank lines are not asked about, and have none.

    `answer` may read ahead, on another thread.
    """
    asked: deque[str] = deque()

    def not_blank() -> Iterator[str]:
        for text in texts:
            asked.append(text)
            if not is_blank(text):
                yield text

    number = 0
    try:
        for given in answer(not_blank()):
            while is_blank(asked[0]):
                number += 1
                yield asked.popleft(), None
            number += 1
            yield asked.popleft(), given
    except Exception as error:
        raise located(error, number + 1 + _num_blank(asked)) from error
    while asked:
        yield asked.popleft(), None


def located(error: Exception, number: int) -> Exception:
    """Say of a text that the server refused on which line it stands."""
    from service.client.errors import InvalidRequest

    if isinstance(error, InvalidRequest) and error.field.startswith("texts["):
        return Stop(in_words(error, f"line {number}"), USAGE)
    return error


@contextmanager
def naming(field: str, name: str) -> Iterator[None]:
    """Say of input that the server refused where it comes from, in the place of its name on the wire."""
    from service.client.errors import InvalidRequest

    try:
        yield
    except InvalidRequest as error:
        raise Stop(str(error).replace(field, name).replace(field.partition(".")[0], name), USAGE) from None


def _num_blank(texts: Iterable[str]) -> int:
    return sum(1 for _ in takewhile(is_blank, texts))


def is_blank(text: str) -> bool:
    """Whether a server would find nothing in it: white space and control characters only."""
    return all(character.isspace() or unicodedata.category(character) == "Cc" for character in text)


def _raw_lines(descriptor: int) -> Iterator[bytes]:
    """Read without Python's buffered stdin, which cannot be left at exit while another thread waits in it."""
    rest = b""
    while chunk := os.read(descriptor, CHUNK_BYTES):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest
