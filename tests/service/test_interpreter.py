import subprocess
import sys

SETTLED_TWICE = """
import gc, weakref
from service import interpreter

class Thing: pass

def ring():
    thing = Thing()
    thing.itself = thing
    return thing

stays, goes = ring(), ring()
watched = weakref.ref(stays), weakref.ref(goes)
interpreter.settle()
print(gc.get_freeze_count() > 1000, gc.get_count()[2])
del goes
gc.collect()
print(watched[1]() is not None)
interpreter.settle()
print(watched[0]() is not None, watched[1]() is None, gc.get_freeze_count() > 1000)
"""


def test_what_has_settled_is_left_alone_until_the_next_time_and_what_went_since_is_freed_then() -> None:
    """In a process of its own: what it does is done to all that lives there."""
    ran = subprocess.run([sys.executable, "-c", SETTLED_TWICE], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", "0", "True", "True", "True", "True"]
