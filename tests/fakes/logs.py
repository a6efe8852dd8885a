"""Where servers that run in this process log to: pytest, which shows it beside a test that failed.

Not to stdout, as structlog does when nobody configured it. Tests of commands read and replace that while a server's
thread prints, and Python below 3.14 then crashes: `print` borrows `sys.stdout` and does not hold it.
"""

import logging

import structlog


def to_pytest() -> None:
    """Send every line there, from debug on."""
    logger = logging.getLogger("seqserve")
    logger.setLevel(logging.DEBUG)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=lambda *_: logger,
        cache_logger_on_first_use=False,
    )
