"""The loop that turns the steps of many jobs into batches."""

import asyncio
from typing import Any

from service.config import SchedulerSettings
from service.engine import Engine
from service.metrics import Metrics
from service.scheduler.mailbox import Mailbox
from service.step import Job


class Scheduler:
    """Runs jobs on a thread of its own, in batches that jobs join and leave between any two steps.

    Guarantees: every accepted job ends exactly once (its last `advance`, `fail`, or a cancellation), whatever its
    batch-mates, the engine or other jobs do; nothing ends the loop. A job is only called on the scheduler's thread.
    """

    def __init__(self, engine: Engine, settings: SchedulerSettings, metrics: Metrics, name: str) -> None:
        """Start the thread. `name` is the label of its metrics, such as `tatoeba-es-en/1`."""
        raise NotImplementedError

    def submit(self, job: Job) -> None:
        """Accept a job, from any thread; it joins the next batch. Overloaded at once when full; Draining."""
        raise NotImplementedError

    def cancel(self, job: Job) -> None:
        """Forget a job, from any thread, at once and for good; nothing happens if it has ended.

        A call of the job that is under way on the scheduler's thread runs to its end; no other follows.
        """
        raise NotImplementedError

    def mailbox(self, loop: asyncio.AbstractEventLoop) -> Mailbox[Any]:
        """Make a mailbox through which a job's methods reach `loop`."""
        raise NotImplementedError

    def stop_accepting(self) -> None:
        """Refuse new jobs from now on, with Draining; those accepted go on."""
        raise NotImplementedError

    def drain(self, timeout: float) -> bool:
        """Stop accepting, wait for the jobs to end, fail with Draining what is left after `timeout` seconds.

        Blocks. Returns whether all ended by themselves.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Fail with Draining what is left and end the thread."""
        raise NotImplementedError
