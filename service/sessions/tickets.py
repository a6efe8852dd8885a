"""Tickets: snapshots that the client holds, sealed with the server's key."""

import time
from collections import OrderedDict
from collections.abc import Callable

from service.config import SessionSettings
from service.errors import InvalidInput, SeqserveError, SnapshotRefused, TicketOutdated
from service.sessions.record import to_snapshot
from service.sessions.seal import Keyring
from service.sessions.session import Session
from service.sessions.snapshot import Snapshot, decode, encode

MAX_REMEMBERED = 10_000
"""Closed sessions whose tickets are refused by this server even without a store."""


class Tickets:
    """Gives tickets and takes them back; one that its session has left behind is refused."""

    def __init__(
        self, ring: Keyring | None, settings: SessionSettings, clock: Callable[[], float] = time.time
    ) -> None:
        """Without a ring, tickets are good on this server only, and until it ends."""
        self._ring = ring or Keyring.random(clock)
        self._settings = settings
        self._clock = clock
        self._closed: OrderedDict[str, None] = OrderedDict()

    def give(self, session: Session, ttl_s: float | None = None) -> tuple[bytes, float]:
        """A ticket with which the session goes on from here, and when its time is over (wall clock)."""
        ttl_s = self._settings.default_ticket_ttl_s if ttl_s is None else ttl_s
        if not 0 < ttl_s <= self._settings.max_ticket_ttl_s:
            raise InvalidInput(
                f"ticket_ttl must be more than 0 and at most {self._settings.max_ticket_ttl_s:g} seconds, "
                f"not {ttl_s:g}",
                field="snapshot.ticket_ttl",
            )
        expires_at = self._clock() + ttl_s
        try:
            data = encode(to_snapshot(session, self._settings, self._clock()))
        except ValueError as error:
            raise SeqserveError(f"the session cannot be written down: {error}") from None
        return self._ring.seal(data, purpose="ticket", owner=session.owner, expires_at=expires_at), expires_at

    def take(self, ticket: bytes, owner: str) -> Snapshot:
        """The snapshot in a ticket; TicketRefused, TicketExpired, and TicketOutdated when it was closed here."""
        snapshot = decode(self._ring.open(ticket, purpose="ticket", owner=owner))
        if snapshot.session_id in self._closed:
            raise TicketOutdated("the session of this ticket was closed")
        return snapshot

    def check_newest(self, snapshot: Snapshot, next_turn: int) -> None:
        """TicketOutdated when the session has gone on since, to where `next_turn` comes next."""
        then = snapshot.facts.get("next_turn")
        if not isinstance(then, int):
            raise SnapshotRefused("the ticket does not say of which turn it is")
        if next_turn > then:
            raise TicketOutdated(
                f"the session has gone on: the ticket is of turn {then}, the next one is {next_turn}"
            )

    def closed(self, session_id: str) -> None:
        """Tickets of this session are good no more."""
        self._closed[session_id] = None
        if len(self._closed) > MAX_REMEMBERED:
            self._closed.popitem(last=False)
