"""Who goes first where not all can go at once. Where nobody says anything, everybody is as good as everybody else.

`service.api` says it for each call; tasks that a call starts inherit it, and the scheduler takes it from there for
each job. It decides when a step runs, never what comes of it.
"""

from contextvars import ContextVar
from enum import IntEnum


class Priority(IntEnum):
    """The first is the most urgent."""

    HIGH = 1
    NORMAL = 2
    LOW = 3


CURRENT: ContextVar[Priority] = ContextVar("priority", default=Priority.NORMAL)
"""Of the request that the present task answers."""
MOST_URGENT: ContextVar[Priority] = ContextVar("most_urgent", default=Priority.HIGH)
"""What the call that the present task answers may ask for at most."""


def asked_for(priority: Priority) -> Priority:
    """What is had of it: nothing above what may be asked for."""
    return max(priority, MOST_URGENT.get())
