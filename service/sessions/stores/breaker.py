"""Leaves a store that fails alone for a while, so that nobody waits for it."""

import time
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

import structlog

from service.errors import Fenced, NotFound, Overloaded, SeqserveError, StoreAway
from service.metrics import Metrics
from service.sessions.stores.base import REMEMBER_S, Claimed, Health, Page, Store, Stored
from service.spans import note

T = TypeVar("T")
State = Literal["closed", "open", "half_open"]

FIRST_OPEN_S = 0.1
"""How long a store that has begun to fail is left alone."""

log = structlog.get_logger()


class Breaker:
    """A store around a store. Open after `failures` failures in a row: StoreAway at once, and the store is not asked.

    Then one operation goes through as a probe (half open): if it succeeds all do again, if it fails the store is left
    alone for twice as long. The first time is short, since most stores are back soon, and none is longer than `open_s`
    seconds. That a session is not found or fenced is an answer, and no failure. Counting and sweeping prove nothing,
    since some stores do them without a word to anybody: they wait until all do again.
    """

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        *,
        failures: int = 3,
        open_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kind = store.kind
        self._store = store
        self._metrics = metrics
        self._max_failures = failures
        self._longest_open_s = open_s
        self._open_s = 0.0
        self._clock = clock
        self._failures = 0
        self._retry_at = 0.0
        self._reason = ""
        self._set(state="closed")

    @property
    def state(self) -> State:
        return self._state

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
        return await self._through(
            "create",
            lambda: self._store.create(
                session_id,
                owner,
                ttl_s,
                epoch=epoch,
                revision=revision,
                data=data,
                summary=summary,
                max_of_owner=max_of_owner,
            ),
        )

    async def claim(self, session_id: str, owner: str, claim_id: str = "") -> Claimed:
        return await self._through("claim", lambda: self._store.claim(session_id, owner, claim_id))

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
        return await self._through(
            "save",
            lambda: self._store.save(session_id, owner, epoch, revision, data, ttl_s, summary=summary),
        )

    async def touch(self, session_id: str, owner: str, epoch: int, ttl_s: float) -> None:
        await self._through("touch", lambda: self._store.touch(session_id, owner, epoch, ttl_s))

    async def delete(self, session_id: str, owner: str, *, remember_s: float = REMEMBER_S) -> None:
        await self._through("delete", lambda: self._store.delete(session_id, owner, remember_s=remember_s))

    async def describe(self, session_id: str, owner: str) -> Stored:
        return await self._through("describe", lambda: self._store.describe(session_id, owner))

    async def list(self, owner: str, limit: int, after: str = "") -> Page:
        return await self._through("list", lambda: self._store.list(owner, limit, after))

    async def count(self) -> int | None:
        return await self._through("count", self._store.count, proves=False)

    async def sweep(self) -> int:
        return await self._through("sweep", self._store.sweep, proves=False)

    async def health(self) -> Health:
        """Ask the store, unless it is being left alone; so whoever asks for health also finds out that it is back."""
        try:
            await self._through("health", self._healthy)
        except StoreAway as error:
            return Health(False, str(error))
        return Health(True)

    async def close(self) -> None:
        await self._store.close()

    async def _healthy(self) -> None:
        health = await self._store.health()
        if not health.serving:
            raise StoreAway(health.detail)

    async def _through(self, operation: str, call: Callable[[], Awaitable[T]], *, proves: bool = True) -> T:
        """`proves`: whether the store must be there for the operation to succeed."""
        probes = self._admit(operation, proves)
        began = self._clock()
        outcome = "left"
        try:
            answer = await call()
            outcome = "done"
            return answer
        except SeqserveError as error:
            outcome = _outcome_of(error)
            if outcome == "away":
                self._failed(error, probes)
            raise
        except Exception as error:
            outcome = "away"
            self._failed(error, probes)
            raise StoreAway(f"the {self.kind} store failed: {error!r}") from error
        finally:
            if proves:
                self._settle(outcome, probes)
            self._count(operation, outcome, self._clock() - began)

    def _admit(self, operation: str, proves: bool) -> bool:
        """Let an operation through, or refuse it at once; whether it is the probe."""
        if self._state == "closed":
            return False
        wait_s = self._retry_at - self._clock()
        if self._state == "half_open" or wait_s > 0 or not proves:
            self._metrics.store_operations.labels(self.kind, operation, "not_tried").inc()
            raise StoreAway(
                f"the {self.kind} store is away, and is left alone for a moment: {self._reason}",
                retry_after_s=max(FIRST_OPEN_S, wait_s),
            )
        self._set("half_open")
        return True

    def _settle(self, outcome: str, probes: bool) -> None:
        """Draw the conclusion from an operation that has ended otherwise than by a failure."""
        if outcome == "left":
            if probes:  # nobody knows how it ended: the next operation probes
                self._set("open")
        elif outcome != "away" and (probes or self._state == "closed"):
            self._failures, self._open_s = 0, 0.0
            self._set("closed")

    def _failed(self, error: Exception, probes: bool) -> None:
        self._failures += 1
        if probes or (self._state == "closed" and self._failures >= self._max_failures):
            self._reason = str(error)
            self._open_s = min(2 * self._open_s or FIRST_OPEN_S, self._longest_open_s)
            self._retry_at = self._clock() + self._open_s
            self._set("open")

    def _set(self, state: State) -> None:
        before = getattr(self, "_state", state)
        self._state: State = state
        self._metrics.store_breaker.labels(self.kind).state(state)
        if state == "open" and before == "closed":
            log.warning("the store is away", store=self.kind, reason=self._reason)
        if state == "closed" and before == "half_open":
            log.info("the store is back", store=self.kind)

    def _count(self, operation: str, outcome: str, seconds: float) -> None:
        self._metrics.store_operations.labels(self.kind, operation, outcome).inc()
        self._metrics.store_seconds.labels(self.kind, operation).observe(seconds)
        note("store", seconds, operation=operation, outcome=outcome)


def _outcome_of(error: SeqserveError) -> str:
    if isinstance(error, StoreAway):
        return "away"
    if isinstance(error, Fenced):
        return "fenced"
    if isinstance(error, Overloaded):
        return "full"
    return "not_found" if isinstance(error, NotFound) else "invalid"
