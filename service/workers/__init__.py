"""Several processes behind one address: a parent that serves nothing keeps that many ordinary servers running."""

from service.workers.parent import supervise

__all__ = ["supervise"]
