"""How the log looks. What a user wrote never stands in it, unless `log.texts` asks for that.

Lines that belong to a call carry its `request_id`, those of a session's stream the last characters of its id: enough to
find it, not enough to take it up.
"""

import logging
import os
import select
import sys
from typing import Literal, TextIO, cast

import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


ROOM_WITHIN_MS = 20
"""How long a line waits for its reader. Then it is left out, and so are those after it, until there is room."""
TAIL = 8
"""Characters of a session's id that are shown."""
shows_texts = False
"""Whether what callers send and are answered is logged, at level debug."""


def configure(
    level: Literal["debug", "info", "warning", "error"],
    format: Literal["console", "json"],
    *,
    texts: bool = False,
) -> None:
    """Write lines to stderr from `level` on: for people, or one JSON object each."""
    global shows_texts
    shows_texts = texts and level == "debug"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(_json() if format == "json" else _console()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _STDERR)),
        cache_logger_on_first_use=False,
    )


def belongs_to(**ids: str) -> None:
    """Let every line from here on, in this task and those that it starts, carry these."""
    structlog.contextvars.bind_contextvars(**ids)


def tail_of(session_id: str) -> str:
    """What the log shows of a session's id."""
    return "…" + session_id[-TAIL:]


def _json() -> list[structlog.typing.Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]


def _console() -> list[structlog.typing.Processor]:
    # Plain: the colourful tracebacks show local variables, and with them what a user wrote.
    plain = structlog.dev.plain_traceback
    colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]


class _Stderr:
    """What stderr is at the moment. A log that cannot be written (nobody reads it, the disk is full) holds nobody up.

    A line that would have to wait for its reader is left out: a pipe that nobody empties would stop the whole server.
    """

    def __init__(self) -> None:
        self.trouble = ""
        """Why the last line could not be written."""
        self.num_left_out = 0

    def write(self, text: str) -> None:
        try:
            self._write(text)
            self.trouble = ""
        except (OSError, ValueError, AttributeError) as error:
            self.trouble = str(error) or type(error).__name__
            self.num_left_out += 1

    def flush(self) -> None:
        """Nothing stays behind."""

    def _write(self, text: str) -> None:
        try:
            number = sys.stderr.fileno()
        except (OSError, ValueError, AttributeError):  # what stands in its place waits for nobody
            sys.stderr.write(text)
            return
        data = text.encode(sys.stderr.encoding or "utf-8", "backslashreplace")
        for start in range(0, len(data), select.PIPE_BUF):
            piece = memoryview(data)[start : start + select.PIPE_BUF]
            while piece:
                _wait_for_room(number, 0 if self.trouble else ROOM_WITHIN_MS)
                piece = piece[os.write(number, piece) :]


def _wait_for_room(number: int, within_ms: int) -> None:
    """Return when so much as a pipe takes at once can be written without waiting."""
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    if not poll.poll(within_ms):
        raise BlockingIOError("nobody reads what is written to stderr")


_STDERR = _Stderr()


def trouble() -> str:
    """Why lines are left out of the log; empty where none are, or where it has been told since how many were."""
    if _STDERR.num_left_out:
        why, before = _STDERR.trouble or "lines were left out", _STDERR.num_left_out
        structlog.get_logger("seqserve.log").warning("lines were left out before this one", lines=before)
        if _STDERR.trouble:
            return why
        _STDERR.num_left_out = 0
    return ""
