"""One client's conversation with a model: whose it is, which model it is bound to, and where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from service.registry import Served
from service.sessions.reading import NOTHING_READ, Reading

Pending = Mapping[str, Any]
"""The state of a tokenizer's feeder, as plain JSON values."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a session stands. A value: a session moves by taking up the next one, once a step was accepted."""

    reading: Reading = NOTHING_READ
    """Of the text that is being read now."""
    pending: Pending | None = None
    """The word that is held back, as it is not yet known to be whole."""
    text_is_over: bool = False
    """The text was ended; the next input begins a new one."""
    input_position: int = 0
    """Tokens consumed since the session was opened, over all its texts."""
    output_position: int = 0
    """Tokens emitted since the session was opened."""

    def for_input(self) -> Self:
        """Where input is taken from here: the same place, or the start of a new text."""
        return replace(self, **_NEW_TEXT) if self.text_is_over else self

    def read(self, reading: Reading, pending: Pending) -> Self:
        """The standing after reading on; positions grow by what was read."""
        grown = reading.num_tokens - self.reading.num_tokens
        return replace(self, reading=reading, pending=pending, input_position=self.input_position + grown)

    def ended(self) -> Self:
        """The standing after the end of the text, which can still be answered."""
        return replace(self, text_is_over=True)

    def answered(self, num_read: int, num_written: int) -> Self:
        """The standing after the last `num_read` tokens of the text and an answer to it: the text is done with."""
        return replace(
            self,
            **_NEW_TEXT,
            input_position=self.input_position + num_read,
            output_position=self.output_position + num_written,
        )


_NEW_TEXT: dict[str, Any] = {"reading": NOTHING_READ, "pending": None, "text_is_over": False}

NEW = Standing()


@dataclass(slots=True, eq=False)
class Session:
    """Held by at most one stream; only its holder sets `standing`."""

    id: str
    owner: str
    served: Served
    """The model version it was opened on; it stays with it."""
    ttl_s: float
    """How long it is kept while no stream holds it."""
    standing: Standing = NEW
