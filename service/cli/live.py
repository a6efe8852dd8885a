"""`seqserve classify --live`: every word is fed to a session as it comes."""

import codecs
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from service.cli import output
from service.cli.sole import sole_model
from service.cli.stop import Stop

if TYPE_CHECKING:
    from service.client import Client, Output, Session

BACKSPACE = ("\x7f", "\b")
END = "\x04"
"""What Ctrl-D sends."""
LABEL_WIDTH = 28


def word_by_word(client: "Client", model: str, lines: Iterable[str], json: bool, top: int = 1) -> None:
    """Feed each line a word at a time, and print the likeliest labels of the line so far after each."""
    with client.session(model=sole_model(client, "classify", model)) as session:
        for line in lines:
            so_far = ""
            words = re.findall(r"\s*\S+\s*", line)
            for index, word in enumerate(words, 1):
                so_far += word
                end = index == len(words)
                answer = session.feed(word if end else _closed(word), end_of_input=end)
                if json:
                    _print_json(so_far.strip(), answer, end)
                elif answer.label:
                    best = "\t".join(f"{one.label}\t{one.probability:.4f}" for one in answer.labels[:top])
                    output.line(f"{best}\t{so_far.strip()}")


def as_typed(client: "Client", model: str) -> None:
    """Show the label of what stands on the line, at every word; Enter begins a new line, Ctrl-D ends."""
    with client.session(model=sole_model(client, "classify", model)) as session, keys() as pressed:
        output.line("Type; the label of the text so far stands before it. Enter: a new text. Ctrl-D: end.")
        line = Line(session)
        for key in pressed:
            line.press(key)
            output.piece(line.shown())
        output.line("")


class Line:
    """The line that is being typed. A session cannot go back: where a read word is changed, the text begins anew."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._text = ""
        self._num_fed = 0
        self._label = ""
        self._ended = ""

    def press(self, key: str) -> None:
        self._ended = ""
        if key in BACKSPACE:
            self._shorten()
        elif key in "\r\n":
            self._end()
        elif key.isprintable():
            self._text += key
            if key.isspace():
                self._feed()

    def shown(self) -> str:
        """What to write to the terminal after a key."""
        return self._ended or "\r\x1b[K" + self._row()

    def _row(self) -> str:
        room = max(shutil.get_terminal_size().columns - LABEL_WIDTH - 4, 10)
        return f"{self._label:<{LABEL_WIDTH}} │ {self._text[-room:]}"

    def _shorten(self) -> None:
        self._text = self._text[:-1]
        if len(self._text) < self._num_fed:
            self._session.feed("", end_of_input=True)
            self._num_fed, self._label = 0, ""
            self._feed()

    def _feed(self) -> None:
        """Give the session what it has not read; the last word stays back until white space follows it."""
        fresh = self._text[self._num_fed :]
        if fresh and (fresh.strip() or self._num_fed):
            self._note(self._session.feed(fresh))
            self._num_fed = len(self._text)

    def _end(self) -> None:
        if self._text.strip():
            self._note(self._session.feed(self._text[self._num_fed :], end_of_input=True))
            self._ended = "\r\x1b[K" + self._row() + "\n"
        self._text, self._num_fed, self._label = "", 0, ""

    def _note(self, answer: "Output") -> None:
        if answer.label:
            self._label = f"{answer.label} {answer.probability:.2f}"


@contextmanager
def keys() -> Iterator[Iterator[str]]:
    """Keys as they are pressed, without echo; the terminal is as before afterwards."""
    try:
        import termios
        import tty
    except ImportError:
        raise Stop("--live needs a Unix terminal; with a pipe it works everywhere") from None
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin, termios.TCSANOW)  # what was typed too early is kept
    try:
        yield _pressed()
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _pressed() -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    while raw := os.read(sys.stdin.fileno(), 64):
        for key in re.sub(
            r"\x1b\[?[0-9;]*[A-Za-z~]?", "", decoder.decode(raw)
        ):  # arrows and the like do nothing
            if key == END:
                return
            yield key


def _closed(word: str) -> str:
    return word if word[-1].isspace() else word + " "


def _print_json(text: str, answer: "Output", end: bool) -> None:
    output.json_line(
        {
            "text": text,
            "label": answer.label,
            "probability": answer.probability,
            "labels": [asdict(one) for one in answer.labels],
            "input_position": answer.input_position,
            "end_of_input": end,
        }
    )
