"""How Python itself is set in a process that does nothing but serve.

Its collector of garbage walks over all that lives whenever a quarter more has come: with some models loaded that is
half a million objects and 60 ms, in which nothing else runs. Nearly all garbage is freed by counting, at once; the
collector is for what refers to itself, such as an error whose traceback holds it.
"""

import gc
import sys

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
