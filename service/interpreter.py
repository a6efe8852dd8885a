"""How Python itself, and its threads, are set in a process that does nothing but serve.

Its collector of garbage walks over all that lives whenever a quarter more has come: with some models loaded that is
half a million objects and 60 ms, in which nothing else runs. Nearly all garbage is freed by counting, at once; the
collector is for what refers to itself, such as an error whose traceback holds it.
"""

import gc
import os
import sys
import threading
from contextlib import suppress

SWITCH_S = 0.0002
"""How long a scheduler waits for the interpreter at most when a batch has run: Python's own 5 ms are a whole one."""
THRESHOLDS = 10_000, 10, 10
"""So many more come than go before the collector looks at the young ones; Python's own 700 come with a batch."""


def prepare() -> None:
    """Before the server is made."""
    sys.setswitchinterval(SWITCH_S)
    gc.set_threshold(*THRESHOLDS)


def settle() -> None:
    """What is there now is there to stay: the collector looks at it once, and then no more until the next call."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def compute() -> None:
    """From now on the present thread computes: where cores are short it waits until the event loop has done its turn.

    Whenever it is woken, Linux would let it push the event loop off a core that they share, in the middle of what that
    does. With SCHED_BATCH (sched(7)) it waits for its turn instead, and has as much of the core in the end. Calls come
    in earlier, so batches are larger. Nothing happens where this is not known, or not allowed.
    """
    with suppress(AttributeError, OSError):
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_BATCH, os.sched_param(0))
