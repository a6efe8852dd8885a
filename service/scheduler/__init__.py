"""Many steps of many jobs, one batch."""

from service.scheduler.mailbox import Mailbox
from service.scheduler.scheduler import Scheduler

__all__ = ["Mailbox", "Scheduler"]
