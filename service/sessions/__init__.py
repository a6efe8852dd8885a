"""Who holds which state: what a model has read, where a session stands, and the table of sessions."""

from service.sessions.holding import Holding, Parted, Why
from service.sessions.reading import NOTHING_READ, Reading
from service.sessions.session import NEW, Session, Standing, Unfinished
from service.sessions.table import SessionTable
from service.sessions.turns import Turn, TurnLog

__all__ = [
    "NEW",
    "NOTHING_READ",
    "Holding",
    "Parted",
    "Reading",
    "Session",
    "SessionTable",
    "Standing",
    "Turn",
    "TurnLog",
    "Unfinished",
    "Why",
]
