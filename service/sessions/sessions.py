"""The sessions of this server: those in its memory, and behind them those in the store.

held by a stream ── idle in memory ── cold, in the store only
         hold ◀──────────┴─────────────────┘
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from enum import StrEnum
from typing import Any, Literal

import structlog

from service.errors import (
    Fenced,
    ModelNotFound,
    NotPossible,
    SessionNotFound,
    SnapshotRefused,
    StoreAway,
    TicketOutdated,
)
from service.metrics import Metrics
from service.registry import Served
from service.sessions.durability import NEVER, Durability, Mode
from service.sessions.holding import Holding, Parted, Why
from service.sessions.keeper import Keeper, next_turn_of
from service.sessions.record import from_snapshot
from service.sessions.session import Session
from service.sessions.snapshot import Snapshot
from service.sessions.stores.base import Claimed
from service.sessions.table import SessionTable
from service.sessions.tickets import Tickets
from service.sessions.turnstiles import Turnstiles

EVICTED_AT_ONCE = 100
EXPIRED_AT_ONCE = 100
PACKED_AT_ONCE = 8
"""As many take a millisecond."""
PACKING_PAUSE_S = 0.003
"""So packing takes at most a quarter of the event loop's time."""

log = structlog.get_logger("seqserve.sessions")

FindModel = Callable[[str, str], Served]
"""Name and version → what serves it; ModelNotFound."""


class Source(StrEnum):
    """Where a session was before a stream resumed it."""

    MEMORY = "memory"
    STORE = "store"
    TICKET = "ticket"


class Sessions:
    """Opens, resumes, forks and closes sessions, wherever they are.

    A session in the store belongs to the server that claimed it last: each resume claims it, so a copy that is still
    in this memory is only gone on with when nobody else had the session meanwhile. While the store is away, what is in
    memory goes on (`serves_on`) or waits until it is back.
    """

    def __init__(
        self,
        table: SessionTable,
        keeper: Keeper | None,
        find_model: FindModel,
        tickets: Tickets | None = None,
        *,
        serves_on: bool = True,
        metrics: Metrics | None = None,
    ) -> None:
        self._table = table
        self.tickets = tickets or Tickets(None, table.settings)
        self._keeper = keeper
        self._find_model = find_model
        self._serves_on = serves_on
        self.metrics = metrics or Metrics()
        self._resuming = Turnstiles()
        if keeper is not None:
            keeper.lose = self._lose

    def __len__(self) -> int:
        return len(self._table)

    @property
    def default_durability(self) -> Durability:
        """What a client gets that does not say: a save every so many steps, where there is a store."""
        if self._keeper is None:
            return NEVER
        return Durability(Mode.EVERY_N_STEPS, self._table.settings.default_durability_steps)

    async def open(
        self,
        owner: str,
        served: Served,
        ttl_s: float | None = None,
        durability: Durability = NEVER,
        *,
        affinity: str = "",
        manner: Mapping[str, Any] | None = None,
    ) -> Session:
        """A new session that nobody holds yet; it is in the store where it is to be durable."""
        if durability.mode is not Mode.NONE and self._keeper is None:
            raise NotPossible(
                "this server has no store for sessions, so they end with it: open without durability"
            )
        session = self._table.open(owner, served, ttl_s, affinity)
        session.durability, session.manner = durability, manner or {}
        await self._create(session)
        self.metrics.sessions_opened.inc()
        return session

    async def fork(self, session: Session) -> Session:
        """Another session of the same owner that stands where this one stands."""
        fork = self._table.fork(session)
        await self._create(fork)
        self.metrics.sessions_opened.inc()
        return fork

    @asynccontextmanager
    async def hold(
        self, owner: str, session_id: str, resumed_by: Literal["", "id", "ticket"] = ""
    ) -> AsyncIterator[Holding]:
        """Hold a session while inside, fetched from the store where it is not here; it is saved on the way out.

        `resumed_by` is by what a stream resumes it, which is counted; empty where none does.
        """
        async with self._resuming.through(owner, session_id):
            found_in = await self._fetch(owner, session_id)
            holding = await self._table.take(owner, session_id)
        if resumed_by:
            source = Source.TICKET if resumed_by == "ticket" else found_in
            self.metrics.sessions_resumed.labels(source).inc()
        try:
            yield holding
        finally:
            self._table.put_back(holding)
            if self._keeper and session_id in self._table:
                self._keeper.finish(holding.session)

    async def take_up(self, owner: str, ticket: bytes) -> str:
        """Take a session up from its ticket; returns its id, by which it can then be held.

        TicketOutdated when it has gone on since, here or in the store.
        """
        snapshot = self.tickets.take(ticket, owner)
        session_id = snapshot.session_id
        async with self._resuming.through(owner, session_id):
            await self._check_not_older(owner, snapshot)
            known = await self._known(owner, session_id)
            if known is not None:
                self.tickets.check_newest(snapshot, known.log.next_turn)
            if known is None or known.log.next_turn < int(snapshot.facts["next_turn"]):
                session = self._session_from(snapshot, session_id, owner)
                session.epoch = max(snapshot.epoch, known.epoch if known else 0)
                session.steps = 1  # not in the store
                session.durable_turn = 0
                if self._keeper is None:
                    session.durability = NEVER
                self._table.put(session)
                try:
                    await self._create(session, is_new=False)
                except Parted as parted:
                    raise TicketOutdated(
                        f"the session of this ticket is not there any more: {parted}"
                    ) from None
        return session_id

    async def _check_not_older(self, owner: str, snapshot: Snapshot) -> None:
        """TicketOutdated where that can be told without taking the session from whoever holds it."""
        held = self._table.find(owner, snapshot.session_id)
        if held is not None:
            self.tickets.check_newest(snapshot, held.log.next_turn)
        if self._keeper is not None:
            with suppress(SessionNotFound, StoreAway):
                stored = await self._keeper.store.describe(snapshot.session_id, owner)
                self.tickets.check_newest(snapshot, next_turn_of(stored.summary))

    async def _known(self, owner: str, session_id: str) -> Session | None:
        """The session as this server, or the store, knows it; its stream has let go of it."""
        try:
            await self._fetch(owner, session_id)
        except SessionNotFound:
            return None
        except StoreAway:
            if not self._serves_on:
                raise
        return await self._table.free(owner, session_id)

    async def moved_on(self, session: Session) -> None:
        """An answer of the session is about to leave: returns once it may, as its durability demands."""
        self._table.moved_on(session)
        if self._keeper is None:
            return
        self._keeper.notice(session)
        if session.durability.mode is Mode.EVERY_STEP:
            await self._settle(session)

    def check_store(self, session: Session) -> None:
        """StoreAway where the store is, and sessions that are durable have to wait for it."""
        if (
            self._keeper
            and not self._serves_on
            and self._keeper.is_away
            and session.durability.mode is not Mode.NONE
        ):
            raise StoreAway("the store for sessions is away; try again in a moment")

    async def save(self, session: Session) -> None:
        """Put the session into the store now; StoreAway."""
        if self._keeper is None or session.durability.mode is Mode.NONE:
            raise NotPossible("this session is not durable: it has no place in a store")
        with _parting():
            await self._keeper.settle(session)

    async def keep_alive(self, session: Session) -> None:
        """Let the session's time to live begin again, in the store too."""
        if self._keeper is not None:
            self._keeper.touch(session)

    async def close(self, session: Session) -> None:
        """Forget a session and its state, in the store too."""
        self._table.close(session)
        self.tickets.closed(session.id)
        if self._keeper is not None:
            with suppress(SessionNotFound, StoreAway):  # its time to live is over soon
                await self._keeper.delete(session)

    def count(self, served: Served) -> int:
        """How many sessions in this memory are of a model version."""
        return self._table.count(served)

    async def evict(self, served: Served) -> None:
        """End the sessions of a model version; their streams are told.

        What is in the store of them stays there until its time to live is over: another server may still serve the
        version, and this one may again.
        """
        name = f"{served.manifest.name}/{served.manifest.version}"
        while session_ids := self._table.of_model(served):
            for number, session_id in enumerate(session_ids):
                self._table.evict(session_id, Why.MODEL_UNLOADED, f"{name} is no longer served")
                if number % EVICTED_AT_ONCE == 0:
                    await asyncio.sleep(0)

    async def upkeep(self) -> None:
        """To be called every second: what clients left silent is ended, what they hold is kept alive in the store."""
        for holding in self._table.silent():
            await self._end_silent(holding.session)
        if self._keeper is not None:
            await self._keeper.upkeep([holding.session for holding in self._table.held()])

    async def _end_silent(self, session: Session) -> None:
        message = f"its client has said nothing for {self._table.settings.max_silence_s:g} seconds"
        self._table.lose(session, Why.EXPIRED, message)
        self.tickets.closed(session.id)
        if self._keeper is not None:
            with suppress(
                Fenced, SessionNotFound, StoreAway
            ):  # then it is another server's, or ends by itself
                await self._keeper.delete(session, only_mine=True)

    async def tidy(self) -> None:
        """To be called every second: forget what nobody came back for, and pack what nobody speaks in.

        A little at a time, in between the requests of others.
        """
        while self._table.expire(EXPIRED_AT_ONCE):  # noqa: ASYNC110 - a pause between pieces, no waiting
            await asyncio.sleep(0)
        while self._table.compact(PACKED_AT_ONCE):  # noqa: ASYNC110 - as above
            await asyncio.sleep(PACKING_PAUSE_S)

    async def num_cold(self) -> int | None:
        """How many sessions are in the store only; None where it cannot say."""
        num = await self._keeper.store.count() if self._keeper else 0
        return None if num is None else max(0, num - self._table.num_stored)

    def drain(self) -> None:
        """Ask the streams of durable sessions to let go; the others may end by themselves."""
        for holding in self._table.held():
            if holding.session.durability.mode is not Mode.NONE:
                holding.part(Why.DRAINING, "the server is going away; resume this session elsewhere")

    async def close_store(self, timeout_s: float) -> None:
        """Save all that is not, as far as there is time, and let go of the store."""
        if self._keeper is None:
            return
        unsaved = [
            s for s in self._table.unpacked() if s.durability.mode is not Mode.NONE and not s.is_stored
        ]
        saves = [asyncio.ensure_future(self._keeper.settle(session)) for session in unsaved]
        if saves:
            await asyncio.wait(saves, timeout=timeout_s)
        lost = sum(not save.done() or save.exception() is not None for save in saves)
        if lost:
            log.error("sessions could not be saved", sessions=lost)
        await self._keeper.close()

    async def _fetch(self, owner: str, session_id: str) -> Source:
        """See that the session is in memory, and that it is this server's; where it was."""
        if self._keeper is None:
            return Source.MEMORY
        session = await self._table.free(owner, session_id)
        if session is None:
            self._restore(owner, session_id, await self._keeper.claim(session_id, owner))
            return Source.STORE
        if session.durability.mode is not Mode.NONE:
            await self._keeper.settle_writes(session)
            await self._claim_again(owner, session)
        return Source.MEMORY

    async def _claim_again(self, owner: str, session: Session) -> None:
        """Claim a session that is in memory: it may have been elsewhere since."""
        assert self._keeper is not None
        before = max(session.epoch, 1)
        try:
            claimed = await self._keeper.claim_again(session)
        except StoreAway:
            if not self._serves_on:
                raise
            return
        except SessionNotFound:
            await self._revive(session)
            return
        if claimed.epoch == before + 1:  # nobody had it since
            session.epoch, session.revision = claimed.epoch, max(session.revision, claimed.revision)
        else:
            self._table.close(session)
            self._restore(owner, session.id, claimed)

    async def _revive(self, session: Session) -> None:
        """Bring a session back that the store has lost; SessionNotFound when it was closed elsewhere."""
        assert self._keeper is not None
        try:
            await self._keeper.save(session)
        except (SessionNotFound, Fenced):
            self._table.close(session)
            raise SessionNotFound("no such session: it was closed", name=session.id) from None
        except StoreAway:
            if not self._serves_on:
                raise

    def _restore(self, owner: str, session_id: str, claimed: Claimed) -> None:
        assert self._keeper is not None
        snapshot = self._keeper.opened(claimed, owner)
        if snapshot is None:
            raise SessionNotFound("nothing of this session was saved; open a new one", name=session_id)
        session = self._session_from(snapshot, session_id, owner)
        session.epoch, session.revision = claimed.epoch, claimed.revision
        self._table.put(session)

    def _session_from(self, snapshot: Snapshot, session_id: str, owner: str) -> Session:
        try:
            served = self._find_model(snapshot.model, snapshot.version)
        except ModelNotFound:
            raise SnapshotRefused(
                f"the session is of {snapshot.model}/{snapshot.version}, which is not served here"
            ) from None
        return from_snapshot(snapshot, session_id, owner, served, self._table.settings)

    async def _create(self, session: Session, *, is_new: bool = True) -> None:
        if self._keeper is not None and session.durability.mode is not Mode.NONE:
            try:
                if is_new:
                    await self._settled(self._keeper.create(session))
                else:
                    await self._settle(session)
            except BaseException:
                self._table.close(session)
                raise

    async def _settle(self, session: Session) -> None:
        assert self._keeper is not None
        await self._settled(self._keeper.settle(session))

    async def _settled(self, writing: Awaitable[None]) -> None:
        try:
            with _parting():
                await writing
        except StoreAway:
            if not self._serves_on:
                raise

    def _lose(self, session: Session, why: Why, message: str) -> None:
        self._table.lose(session, why, message)


@contextmanager
def _parting() -> Iterator[None]:
    """The stream that holds a session lets go of it where a write finds that it is no longer this server's."""
    try:
        yield
    except Fenced:
        raise Parted(Why.CLAIMED, "another server has claimed this session; it goes on there") from None
    except SessionNotFound:
        raise Parted(Why.CLOSED, "the session was closed") from None
