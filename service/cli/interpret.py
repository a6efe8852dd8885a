"""`seqserve translate --live`: the translation comes while the text still does, through a session."""

import codecs
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from service.cli import output
from service.cli.live import BACKSPACE, keys
from service.cli.sole import check_task
from service.cli.source import Errors
from service.cli.stop import USAGE, Stop

if TYPE_CHECKING:
    from service.client import Client, Model, Session

CHUNK_BYTES = 4096
DEFAULT_WAIT = 3


def chosen(client: "Client", model: str, source: str, target: str) -> str:
    """The model asked for, or the only one that writes while it reads and fits the languages."""
    if model:
        _check(client.model(model))
        return model
    able = [one for one in client.models("translate") if one.simultaneous]
    names = sorted(
        {
            one.name
            for one in able
            if source in ("", one.source_language) and target in ("", one.target_language)
        }
    )
    if len(names) == 1:
        return names[0]
    if names:
        raise Stop(f"several models can do this; choose one with --model: {', '.join(names)}")
    raise Stop(_none(able))


def _none(able: "Sequence[Model]") -> str:
    """What to do where no model that writes while it reads fits the languages."""
    if not able:
        return (
            "no model that translates while the text comes in is served there; leave --live out, or see: "
            "seqserve models"
        )
    there = ", ".join(sorted({f"{one.source_language}→{one.target_language} ({one.name})" for one in able}))
    return f"while the text comes in, only {there} is translated there; leave --live out, or choose these languages"


def _check(model: "Model") -> None:
    check_task(model, "translate")
    if not model.streams:
        raise Stop(f"{model.name} cannot be fed in a session: {model.why_not_streaming}")
    if not model.simultaneous:
        raise Stop(f"{model.name} was not trained to write while the text comes in; leave --live out")


def as_it_comes(session: "Session", descriptor: int, errors: Errors, json: bool) -> None:
    """Feed what comes out of a pipe word by word, and write each word of the translation as soon as there is one."""
    talk = Interpretation(session, json)
    for text in _texts(descriptor, errors):
        for part in re.findall(r"\n|[^\S\n]+|\S+[^\S\n]?", text):
            if part == "\n":
                talk.end()
            else:
                talk.hear(part)
    if talk.is_open:
        talk.end()


def at_once(session: "Session", text: str, json: bool) -> None:
    """The same for a text that is there already."""
    talk = Interpretation(session, json)
    for word in text.split():
        talk.hear(word + " ")
    talk.end()


def as_typed(session: "Session") -> None:
    """Show the translation below what is typed, word by word. Words that were read cannot be taken back."""
    output.line("Type; the translation follows the words. Enter: a new text. Ctrl-D: end.")
    row = Row(session)
    with keys() as pressed:
        for key in pressed:
            output.piece(row.press(key))
    output.line("")


class Interpretation:
    """Of one line after the other."""

    def __init__(self, session: "Session", json: bool) -> None:
        self._session, self._json = session, json
        self._text = ""
        self._words: list[dict[str, Any]] = []

    @property
    def is_open(self) -> bool:
        """Whether something was heard since the last end."""
        return bool(self._text)

    def hear(self, part: str) -> None:
        self._text += part
        if self._text.strip():
            self._tell(self._session.feed(part).written)

    def end(self) -> None:
        """Write the rest of the translation, and begin anew."""
        if not self._text.strip():
            self._finish(None)
            return
        last = self._session.feed("", end_of_input=True)
        self._tell(last.written)
        self._finish(last.hypotheses[0].score if last.hypotheses else None)

    def _tell(self, written: str) -> None:
        if not written:
            return
        self._words.append({"written": written, "num_words_read": len(self._text.split())})
        if not self._json:
            output.piece(written)

    def _finish(self, score: float | None) -> None:
        if self._json:
            translation = "".join(part["written"] for part in self._words)
            output.json_line(
                {"text": self._text, "translation": translation, "score": score, "parts": self._words}
            )
        else:
            output.line("")
        self._text, self._words = "", []


class Row:
    """The line that is typed, and its translation."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._text = self._written = ""
        self._num_fed = 0

    def press(self, key: str) -> str:
        """What to write to the terminal after a key."""
        if key in BACKSPACE:
            self._text = self._text[: max(self._num_fed, len(self._text) - 1)]
        elif key in "\r\n":
            return self._ended()
        elif key.isprintable():
            self._text += key
            if key.isspace() and self._text.strip():
                self._feed(end=False)
        return self._shown()

    def _feed(self, end: bool) -> None:
        fresh, self._num_fed = self._text[self._num_fed :], len(self._text)
        self._written += self._session.feed(fresh, end_of_input=end).written

    def _ended(self) -> str:
        if not self._text.strip():
            return self._shown()
        self._feed(end=True)
        shown = f"\r\x1b[K{self._text.strip()}\n  {self._written}\n"
        self._text, self._written, self._num_fed = "", "", 0
        return shown

    def _shown(self) -> str:
        half = max((shutil.get_terminal_size().columns - 5) // 2, 10)
        return f"\r\x1b[K{self._text[-half:]} │ {self._written[-half:]}"


def _texts(descriptor: int, errors: Errors) -> Iterator[str]:
    """What is there, as soon as it is there."""
    how = "replace" if errors is Errors.REPLACE else "strict"
    decoder = codecs.getincrementaldecoder("utf-8-sig")(how)
    try:
        while chunk := os.read(descriptor, CHUNK_BYTES):
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise Stop(
            f"the text is not valid UTF-8: byte 0x{error.object[error.start]:02x}.\n"
            "Convert it (iconv -t UTF-8), or let such bytes be replaced: --errors replace",
            USAGE,
        ) from None
