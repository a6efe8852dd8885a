"""Who holds which state: what a model has read, where a session stands, and the table of sessions."""

from service.sessions.reading import NOTHING_READ, Reading
from service.sessions.session import NEW, Session, Standing
from service.sessions.table import SessionTable

__all__ = ["NEW", "NOTHING_READ", "Reading", "Session", "SessionTable", "Standing"]
