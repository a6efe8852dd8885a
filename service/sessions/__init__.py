"""Who holds which state: what a model has read, where a session stands, and the table of sessions."""

from service.sessions.directory import Description, Directory, Tier
from service.sessions.durability import NEVER, Durability, Mode
from service.sessions.holding import Holding, Parted, Why
from service.sessions.reading import NOTHING_READ, Reading
from service.sessions.session import NEW, Session, Standing, Unfinished
from service.sessions.sessions import Sessions, Source
from service.sessions.table import SessionTable
from service.sessions.turns import Turn, TurnLog

__all__ = [
    "NEVER",
    "NEW",
    "NOTHING_READ",
    "Description",
    "Directory",
    "Durability",
    "Holding",
    "Mode",
    "Parted",
    "Reading",
    "Session",
    "SessionTable",
    "Sessions",
    "Source",
    "Standing",
    "Tier",
    "Turn",
    "TurnLog",
    "Unfinished",
    "Why",
]
