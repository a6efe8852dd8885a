"""Writes sessions to the store, behind their backs, and fetches them from there.

    steps ─▶ notice ─▶ one save in flight for each session ─▶ store
                         └─ what came meanwhile goes with the next one: the newest wins

A save runs in a task of its own: nobody's cancellation cuts it off, and no session waits for another's.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

import structlog

from service import logs
from service.config import SessionSettings
from service.errors import Fenced, Overloaded, SeqserveError, SessionNotFound, SnapshotRefused, StoreAway
from service.metrics import Metrics
from service.sessions.durability import Mode
from service.sessions.holding import Why
from service.sessions.record import to_snapshot
from service.sessions.seal import Keyring
from service.sessions.session import Session
from service.sessions.snapshot import Snapshot, decode, encode
from service.sessions.stores.base import Claimed, Store

MAX_RETRIES = 256
"""Sessions that are tried to be saved again at once."""

SEALED = b"SQSL"
"""What sealed bytes begin with."""

log = structlog.get_logger("seqserve.sessions")

Lose = Callable[[Session, Why, str], None]
"""Told of a session that is no longer this server's."""


class Keeper:
    """Keeps sessions that asked for durability in the store. Belongs on the event loop.

    A session that another server has claimed is given to `lose` as soon as a write finds that out.
    """

    def __init__(
        self,
        store: Store,
        ring: Keyring | None,
        settings: SessionSettings,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.lose: Lose = lambda session, why, message: None
        self._ring = ring
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._failed: dict[str, Session] = {}
        self._behind_since: dict[str, float] = {}
        """Sessions whose save is under way or has failed, and since when; the longest first."""
        self.is_away = False
        """Whether the last operation found no store."""
        self._why_away = ""
        """What it said then."""
        metrics.sessions_unsaved.set_function(lambda: len(self._failed))
        metrics.save_lag_seconds.set_function(self._lag_s)

    @property
    def trouble(self) -> str:
        """Why sessions are not kept at the moment: the store is away, or does not take what is written."""
        if self.is_away or self._failed:
            waiting = f"; {len(self._failed)} sessions wait to be saved" if self._failed else ""
            return f"{self._why_away or 'the store does not take what is written'}{waiting}"
        return ""

    def notice(self, session: Session) -> None:
        """A session has moved on: begin to save it if it is time."""
        if session.lost is None and session.durability.is_due(session.steps - session.saved_steps):
            self._save(session)

    def finish(self, session: Session) -> None:
        """Nobody holds the session any more: save what is unsaved, and let its time to live begin again."""
        if session.durability.mode is Mode.NONE or session.lost is not None:
            return
        if session.steps > session.saved_steps or not session.epoch:
            self._save(session)
        else:
            self.touch(session)

    def touch(self, session: Session) -> None:
        """Let the session's time to live begin again in the store."""
        may_be = session.durability.mode is not Mode.NONE and session.lost is None
        if may_be and session.id not in self._writing:
            self._start(session, self._touched(session))

    async def upkeep(self, held: Iterable[Session]) -> None:
        """To be called every second: try again what failed, and keep alive in the store what streams hold."""
        health = await self.store.health()
        self.is_away = not health.serving
        if self.is_away:
            self._why_away = health.detail
            return
        for session in list(self._failed.values())[:MAX_RETRIES]:
            self._save(session)
        now = time.monotonic()
        for session in held:
            if session.epoch and now - session.stored_at > session.ttl_s / 3:
                self.touch(session)

    async def create(self, session: Session) -> None:
        """Write a new session; StoreAway, and Overloaded when its owner has as many there as he may."""
        await asyncio.shield(
            self._start(session, self._saved(session, max_of_owner=self._settings.max_sessions_per_owner))
        )

    async def settle(self, session: Session) -> None:
        """Return when all that the session did so far is in the store; StoreAway, or Fenced when it is lost."""
        wanted = session.steps
        while session.saved_steps < wanted or not session.epoch:
            await asyncio.shield(self._save(session))

    async def save(self, session: Session) -> None:
        """Write the session, whatever is in the store of it; raises what the store says."""
        await self.settle_writes(session)
        await asyncio.shield(self._save(session))

    async def settle_writes(self, session: Session) -> None:
        """Return when nothing of the session is under way, whatever became of it."""
        while task := self._writing.get(session.id):
            await asyncio.wait([task])

    async def claim(self, session_id: str, owner: str) -> Claimed:
        """Make a session that is not here this server's."""
        return await self.store.claim(session_id, owner)

    async def claim_again(self, session: Session) -> Claimed:
        """Make sure that a session that is here is this server's; what was claimed.

        One that is not answered, whether the store is away or whoever asked has left, is asked for again under its id.
        """
        session.unanswered_claim = session.unanswered_claim or secrets.token_hex(8)
        claimed = await self.store.claim(session.id, session.owner, session.unanswered_claim)
        session.unanswered_claim = ""
        return claimed

    def opened(self, claimed: Claimed, owner: str) -> Snapshot | None:
        """The snapshot that was claimed; None where nothing was saved; SnapshotRefused."""
        if claimed.data is None:
            return None
        data = claimed.data
        if data.startswith(SEALED):
            if self._ring is None:
                raise SnapshotRefused(
                    "the snapshot is sealed, and this server has no keys (keys.snapshot_keys)"
                )
            data = self._ring.open(data, purpose="snapshot", owner=owner)
        return decode(data)

    async def delete(self, session: Session, *, only_mine: bool = False) -> None:
        """Take the session out of the store; Fenced when another server has it and that must not be."""
        if session.durability.mode is not Mode.NONE:
            await self.settle_writes(session)
            if session.epoch:
                if only_mine:
                    await self._under_epoch(session, lambda: self._touch(session))
                await self.store.delete(session.id, session.owner)

    async def close(self) -> None:
        """Let what is under way end."""
        if self._writing:
            await asyncio.wait(list(self._writing.values()))
        await self.store.close()

    def _save(self, session: Session) -> asyncio.Task[None]:
        """The save that is under way, or a new one; none of a session that was lost, as another one may have its id."""
        if session.lost is not None:
            raise session.lost("this session is no longer this server's")
        return self._writing.get(session.id) or self._start(session, self._saved(session))

    def _lag_s(self) -> float:
        with suppress(
            StopIteration, RuntimeError
        ):  # it is read from another thread, and may change meanwhile
            return time.monotonic() - next(iter(self._behind_since.values()))
        return 0.0

    def _start(self, session: Session, writing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self._behind_since.setdefault(session.id, time.monotonic())
        task = self._writing[session.id] = asyncio.create_task(writing)
        task.add_done_callback(lambda task: self._ended(session, task))
        return task

    def _ended(self, session: Session, task: asyncio.Task[None]) -> None:
        del self._writing[session.id]
        if task.cancelled():
            self._behind_since.pop(session.id, None)
            return
        error = task.exception()
        self.is_away = isinstance(error, StoreAway)
        if self.is_away:
            self._why_away = str(error)
            self._failed[session.id] = session
            return
        self._failed.pop(session.id, None)
        self._behind_since.pop(session.id, None)
        if error is None:
            session.stored_at = time.monotonic()
            self.notice(session)
        elif isinstance(error, Fenced):
            session.lost = Fenced
            self.lose(session, Why.CLAIMED, "another server has claimed this session; it goes on there")
        elif isinstance(error, SessionNotFound):
            session.lost = SessionNotFound
            self.lose(session, Why.CLOSED, "the session was closed")
        elif not isinstance(error, Overloaded):  # which is told to whoever wanted to open it
            log.error("a session could not be saved", session=logs.tail_of(session.id), error=repr(error))

    async def _touched(self, session: Session) -> None:
        try:
            await self._under_epoch(session, lambda: self._touch(session))
        except SessionNotFound:
            await self._saved(session)

    async def _saved(self, session: Session, max_of_owner: int | None = None) -> None:
        """Take a snapshot and write it."""
        steps, next_turn, began = session.steps, session.log.next_turn, time.perf_counter()
        session.revision += 1
        data = self._sealed(session)
        self._metrics.snapshot_bytes.observe(len(data))
        if session.epoch:
            await self._written(session, data)
        else:
            await self._created(session, data, max_of_owner)
        session.saved_steps = max(session.saved_steps, steps)
        session.durable_turn = max(session.durable_turn, next_turn)
        self._metrics.save_seconds.observe(time.perf_counter() - began)

    async def _written(self, session: Session, data: bytes) -> None:
        try:
            await self._under_epoch(session, lambda: self._write(session, data))
        except SessionNotFound:  # deleted, which is remembered, or the store has forgotten it
            await self._create(session, data, session.epoch + 1)

    async def _under_epoch(self, session: Session, write: Callable[[], Awaitable[object]]) -> None:
        """Write; again where a claim of its own, answered meanwhile or not, has ended the epoch it wrote under."""
        while True:
            epoch = session.epoch
            try:
                await write()
                return
            except Fenced:
                if session.epoch == epoch and not await self._was_claimed_after_all(session):
                    raise

    async def _was_claimed_after_all(self, session: Session) -> bool:
        """Whether the epoch is over by that claim alone; then the session has the next one."""
        if not session.unanswered_claim:
            return False
        stored = await self.store.describe(session.id, session.owner)
        if (stored.epoch, stored.claim_id) != (session.epoch + 1, session.unanswered_claim):
            return False
        session.epoch, session.unanswered_claim = stored.epoch, ""
        return True

    async def _write(self, session: Session, data: bytes) -> int:
        return await self.store.save(
            session.id,
            session.owner,
            session.epoch,
            session.revision,
            data,
            session.ttl_s,
            summary=summary_of(session),
        )

    async def _touch(self, session: Session) -> None:
        await self.store.touch(session.id, session.owner, session.epoch, session.ttl_s)

    async def _created(self, session: Session, data: bytes, max_of_owner: int | None) -> None:
        try:
            await self._create(session, data, 1, max_of_owner)
        except Fenced:  # an earlier attempt took place after all
            session.epoch = 1
            await self._written(session, data)

    async def _create(
        self, session: Session, data: bytes, epoch: int, max_of_owner: int | None = None
    ) -> None:
        session.epoch = await self.store.create(
            session.id,
            session.owner,
            session.ttl_s,
            epoch=epoch,
            revision=session.revision,
            data=data,
            summary=summary_of(session),
            max_of_owner=max_of_owner,
        )

    def _sealed(self, session: Session) -> bytes:
        snapshot = to_snapshot(session, self._settings, self._clock())
        try:
            data = encode(snapshot)
        except ValueError as error:
            raise SeqserveError(f"the session cannot be written down: {error}") from None
        return self._ring.seal(data, purpose="snapshot", owner=session.owner) if self._ring else data


def summary_of(session: Session) -> str:
    """What a listing shows of a session without reading its snapshot."""
    manifest, standing = session.served.manifest, session.standing
    return json.dumps(
        {
            "model": [manifest.name, manifest.version],
            "at": [standing.input_position, standing.output_position],
            "next_turn": session.log.next_turn,
            "durability": [session.durability.mode.value, session.durability.num_steps],
            "ttl_s": session.ttl_s,
        },
        separators=(",", ":"),
    )


def next_turn_of(summary: str) -> int:
    """The turn that comes next, as a summary has it."""
    return int(json.loads(summary)["next_turn"])
