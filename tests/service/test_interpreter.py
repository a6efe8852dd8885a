import os
import subprocess
import sys
import threading

import pytest

from service.config import SchedulerSettings
from service.metrics import Metrics
from service.scheduler import Scheduler
from tests.fakes.jobs import Adding, alone
from tests.fakes.running_sum import RunningSum

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


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="only Linux knows it")
def test_a_scheduler_computes_without_pushing_the_event_loop_off_its_core() -> None:
    found: set[int] = set()
    job = Adding([1], [1, 2], on_advance=lambda: found.add(os.sched_getscheduler(threading.get_native_id())))
    assert sums_of(job) == alone([1], [1, 2], 1)
    assert found == {os.SCHED_BATCH}
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.parametrize("error", [PermissionError("not here"), OSError("no such thing")])
def test_a_scheduler_works_where_it_is_not_let_say_so(
    error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert sums_of(Adding([1], [1, 2])) == alone([1], [1, 2], 1)


def sums_of(job: Adding) -> list[list[int]]:
    scheduler = Scheduler(RunningSum(), SchedulerSettings(), Metrics(), "test")
    try:
        scheduler.submit(job)
        return job.wait().sums
    finally:
        scheduler.close()
