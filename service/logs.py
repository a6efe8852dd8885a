"""How the log looks. What a user wrote never stands in it, unless `log.texts` asks for that.

Lines that belong to a call carry its `request_id`, those of a session's stream the last characters of its id: enough to
find it, not enough to take it up.
"""

import logging
import sys
from contextlib import suppress
from typing import Literal, TextIO, cast

import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


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
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Stderr())),
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
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]


class _Stderr:
    """What stderr is at the moment. A log that cannot be written (nobody reads it, the disk is full) harms nobody."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
