"""Sessions that nobody has spoken in for a while, packed: the larger part of all sessions, in the least memory."""

from collections.abc import Callable, Iterator
from itertools import chain, islice

from service.config import SessionSettings
from service.registry import Served
from service.sessions.durability import Mode
from service.sessions.packing import pack, unpack
from service.sessions.session import Session

PLACE_BYTES = 500
"""Of a packed session, beside its bytes: its id, its places in the shelf, in the census and among the deadlines."""
NUM_VICTIMS = 256
"""Looked for at once: a dict whose first keys are taken out one by one would be searched from its start each time."""

Packed = tuple[str, int, float, bytes]
"""Owner, key of the model, when its time is over, bytes. A plain tuple: the garbage collector soon leaves it alone."""


class Shelf:
    """Packed sessions by id; those that are in the store as well can be put out to make room."""

    def __init__(self, settings: SessionSettings, find_model: Callable[[int], Served]) -> None:
        """`find_model` finds a model version by its key."""
        self._settings = settings
        self._find_model = find_model
        self._stored: dict[str, Packed] = {}
        self._alone: dict[str, Packed] = {}
        self._victims: list[str] = []
        self.num_bytes = 0

    def __len__(self) -> int:
        return len(self._stored) + len(self._alone)

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._stored or session_id in self._alone

    @property
    def num_stored(self) -> int:
        """How many of them are in the store as well."""
        return len(self._stored)

    def is_stored(self, session_id: str) -> bool:
        return session_id in self._stored

    def put(self, session: Session, expires_at: float) -> None:
        """ValueError when it cannot be packed."""
        packed = session.owner, id(session.served), expires_at, pack(session, self._settings)
        where = self._alone if session.durability.mode is Mode.NONE else self._stored
        where[session.id] = packed
        self.num_bytes += _weight(packed)

    def look(self, session_id: str) -> tuple[str, Served, float] | None:
        """Owner, model and end of a session."""
        packed = self._get(session_id)
        return packed and (packed[0], self._find_model(packed[1]), packed[2])

    def copy(self, session_id: str) -> Session:
        """The session, to be looked at only."""
        packed = self._get(session_id)
        assert packed is not None
        return unpack(packed[3], self._find_model(packed[1]), self._settings)

    def drop(self, session_id: str) -> None:
        packed = self._stored.pop(session_id, None) or self._alone.pop(session_id)
        self.num_bytes -= _weight(packed)

    def longest_stored(self) -> str | None:
        """Of those in the store, the one that lies here for longest."""
        while self._victims:
            if (session_id := self._victims[-1]) in self._stored:
                return session_id
            self._victims.pop()
        self._victims = list(islice(self._stored, NUM_VICTIMS))[::-1]
        return self._victims[-1] if self._victims else None

    def of_model(self, served: Served) -> Iterator[str]:
        key = id(served)
        everything = chain(self._stored.items(), self._alone.items())
        return (session_id for session_id, packed in everything if packed[1] == key)

    def _get(self, session_id: str) -> Packed | None:
        return self._stored.get(session_id) or self._alone.get(session_id)


def _weight(packed: Packed) -> int:
    return len(packed[3]) + PLACE_BYTES
