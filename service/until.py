"""Until when an answer is of use to its caller; afterwards nobody is there to read it.

`service.api` says it for each call; tasks that a call starts inherit it, and the scheduler takes it from there for
each job.
"""

import math
import time
from contextvars import ContextVar

FOR_EVER = math.inf
CURRENT: ContextVar[float] = ContextVar("until", default=FOR_EVER)
"""For the call that the present task answers, by `time.monotonic`."""


def begin(remaining_s: float | None) -> None:
    """From now on the present task answers a caller who waits so long; None: as long as it takes."""
    if remaining_s is not None:
        CURRENT.set(time.monotonic() + remaining_s)
