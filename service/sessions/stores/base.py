"""What a store does: keeps the newest snapshot of each session, and knows who may write the next one."""

from dataclasses import dataclass
from typing import Protocol

from service.errors import Overloaded

REMEMBER_S = 3600.0
"""How long a deleted session is remembered as such, where the caller does not say."""

FULL_RETRY_S = 10.0
"""When an owner who has too many sessions may ask again: some may have expired by then."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A session that now belongs to the caller, until somebody else claims it."""

    epoch: int
    """To be shown with every write."""
    revision: int
    """Of the data; 0 where nothing was saved yet."""
    data: bytes | None
    """The newest snapshot; None where nothing was saved yet."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store knows of a session without reading its snapshot."""

    session_id: str
    epoch: int
    revision: int
    size_bytes: int
    created_at: float
    """Wall clock, in seconds."""
    expires_at: float
    summary: str
    """What was saved with the snapshot for listings, in the clear."""
    claim_id: str = ""
    """Of the claim that gave the epoch; empty where that was none, or had none."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of an owner's sessions, newest first."""

    sessions: tuple[Stored, ...]
    after: str
    """Where the next page begins; empty: there is none."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the store answers; `detail` is for people."""

    serving: bool
    detail: str = ""


def too_many(max_of_owner: int) -> Overloaded:
    """Why an owner gets no further session."""
    return Overloaded(
        f"you have {max_of_owner} sessions, which is the limit, also those that nobody holds; close one first",
        retry_after_s=FULL_RETRY_S,
    )


class Store(Protocol):
    """Snapshots by session. Each method is atomic, in the face of other tasks, processes and machines.

    Epochs: `create` and `claim` give one; a write under any other than the stored epoch is Fenced. So of two replicas
    that believe to have a session, the one that claimed last writes, and the other learns that it has lost it.

    A session that is not there, that has expired, that was deleted, and one of another owner are SessionNotFound alike.
    Any method but `close` raises StoreAway when the store does not answer in time or cannot write; the write may have
    taken place then, or may take place later, and may be sent again: a `save` or `touch` that is done twice is done
    once, and so is a `claim` that has an id; a `create` that was done is Fenced the second time (claim it).
    A caller that is cancelled leaves its operation to its end, and disturbs nobody else's.
    """

    kind: str

    async def create(
        self,
        session_id: str,
        owner: str,
        ttl_s: float,
        *,
        epoch: int = 1,
        revision: int = 0,
        data: bytes | None = None,
        summary: str = "",
        max_of_owner: int | None = None,
    ) -> int:
        """Put a new session in and return its epoch; Fenced when it is there already.

        Overloaded when its owner has `max_of_owner` sessions here already: redis counts a session that has expired for
        up to as long again as it lived, and may let a few too many in where several servers open at one moment.
        SessionNotFound when it was deleted and that is still remembered. A session that goes on from a ticket, or that
        the store has lost, is created with an epoch above the one it had.
        """
        ...

    async def claim(self, session_id: str, owner: str, claim_id: str = "") -> Claimed:
        """Raise the epoch by one, restart the time to live, and return the newest snapshot.

        A claim with the id of the one before it, with no other in between, raises nothing: it is that one.
        """
        ...

    async def save(
        self,
        session_id: str,
        owner: str,
        epoch: int,
        revision: int,
        data: bytes,
        ttl_s: float,
        *,
        summary: str = "",
    ) -> int:
        """Replace the snapshot and restart the time to live; return the revision that is stored now.

        That is a newer one when a later save has overtaken this one: revisions of one epoch only grow.
        """
        ...

    async def touch(self, session_id: str, owner: str, epoch: int, ttl_s: float) -> None:
        """Restart the time to live."""
        ...

    async def delete(self, session_id: str, owner: str, *, remember_s: float = REMEMBER_S) -> None:
        """Delete whatever its epoch; no save and no create brings it back for `remember_s`."""
        ...

    async def describe(self, session_id: str, owner: str) -> Stored: ...

    async def list(self, owner: str, limit: int, after: str = "") -> Page:
        """The owner's sessions, newest first, from the page's `after` on."""
        ...

    async def count(self) -> int | None:
        """How many sessions there are, with expired ones until the next sweep; None: it cannot say cheaply."""
        ...

    async def sweep(self) -> int:
        """Remove what has expired, where the store does not do so by itself; return how many sessions."""
        ...

    async def health(self) -> Health:
        """Ask the store for a sign of life; never raises."""
        ...

    async def close(self) -> None:
        """Let what is under way end, and let go of files and connections."""
        ...
