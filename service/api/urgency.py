"""How urgent a call is: what its caller says in a header, within what the settings allow."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from service.errors import InvalidInput
from service.priority import CURRENT, MOST_URGENT, Priority, asked_for

PRIORITY_HEADER = "seqserve-priority"
NAMES = {priority.name.lower(): priority for priority in Priority}


class Urgency:
    """Says for each call what priority its jobs have."""

    def __init__(self, max_priority: str) -> None:
        self._most = NAMES[max_priority]

    @contextmanager
    def of_call(self, context: "grpc.aio.ServicerContext[Any, Any]") -> Iterator[None]:
        """Jobs that are submitted inside have the priority that the call asks for; InvalidInput."""
        most = MOST_URGENT.set(self._most)
        now = CURRENT.set(asked_for(_in_header(context)))
        try:
            yield
        finally:
            CURRENT.reset(now)
            MOST_URGENT.reset(most)


def _in_header(context: "grpc.aio.ServicerContext[Any, Any]") -> Priority:
    for key, value in context.invocation_metadata() or ():
        if key == PRIORITY_HEADER:
            if value in NAMES:
                return NAMES[str(value)]
            raise InvalidInput(f"the header {PRIORITY_HEADER} is one of {', '.join(NAMES)}")
    return Priority.NORMAL
