"""Snapshots in Redis or Valkey, for several servers. What survives its crash is Redis's affair (appendonly)."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from service.config import StoreSettings
from service.errors import ConfigRefused, Fenced, SessionNotFound, StoreAway
from service.sessions.stores import redis_scripts as scripts
from service.sessions.stores.base import REMEMBER_S, Claimed, Health, Page, Stored, too_many
from service.sessions.stores.paging import from_cursor, not_found, to_cursor
from service.sessions.stores.shield import Shield

T = TypeVar("T")
Reply = list[Any]
Names = list[str]

MAX_NOTED = 100_000
"""Sessions of which this process remembers that they are in their owner's listing."""


class RedisStore:
    """Each method is one script on the keys of one session; all keys of a session, and of an owner, lie in one slot.

    Commands are never cancelled: redis-py has left the reply of a cancelled command to the next one on its connection.
    An owner's listing is kept beside the sessions, on a best effort: saves put back what it lacks, listings take out
    what is gone.
    """

    kind = "redis"

    def __init__(
        self,
        settings: StoreSettings,
        client: "Redis | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prefix = settings.prefix
        self._client = client or Redis.from_pool(pool(settings))
        self._shield = Shield(self.kind, 2 * settings.timeout_s)  # the socket's own timeout comes first
        self._clock = clock
        self._noted: dict[str, float] = {}
        register = self._client.register_script
        self._create = register(scripts.CREATE)
        self._claim = register(scripts.CLAIM)
        self._save = register(scripts.SAVE)
        self._touch = register(scripts.TOUCH)
        self._delete = register(scripts.DELETE)
        self._describe = register(scripts.DESCRIBE)
        self._note = register(scripts.NOTE)

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
        if max_of_owner is not None and await self._num_of(owner) >= max_of_owner:
            raise too_many(max_of_owner)
        has_data = [0] if data is None else [1, data]
        await self._do(self._create, session_id, owner, epoch, revision, _ms(ttl_s), summary, *has_data)
        return epoch

    async def claim(self, session_id: str, owner: str, claim_id: str = "") -> Claimed:
        epoch, revision, data = await self._do(self._claim, session_id, owner, claim_id)
        return Claimed(int(epoch), int(revision), data)

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
        (stored,) = await self._do(
            self._save, session_id, owner, epoch, revision, _ms(ttl_s), summary, data, epoch=epoch
        )
        return int(stored)

    async def touch(self, session_id: str, owner: str, epoch: int, ttl_s: float) -> None:
        await self._do(self._touch, session_id, owner, epoch, _ms(ttl_s), epoch=epoch)

    async def delete(self, session_id: str, owner: str, *, remember_s: float = REMEMBER_S) -> None:
        await self._do(self._delete, session_id, owner, _ms(remember_s), noted=False)

    async def describe(self, session_id: str, owner: str) -> Stored:
        return (await self._look(session_id, owner))[1]

    async def list(self, owner: str, limit: int, after: str = "") -> Page:
        if after:
            from_cursor(after)
        found: list[tuple[str, Stored]] = []
        while len(found) <= limit:
            wanted = limit + 1 - len(found)
            cursors = await self._run(self._places(owner, wanted, after))
            looked = await asyncio.gather(*(self._look_or_forget(owner, cursor) for cursor in cursors))
            found += [each for each in looked if each]
            if len(cursors) < wanted:
                break
            after = cursors[-1]
        last = found[limit - 1][0] if len(found) > limit else ""
        return Page(tuple(stored for _, stored in found[:limit]), last)

    async def count(self) -> None:
        return None  # other keys than ours may be there

    async def sweep(self) -> int:
        """Redis does so by itself; what this process remembers of sessions that were never closed is dropped."""
        now = self._clock()
        self._noted = {cursor: until for cursor, until in self._noted.items() if until > now}
        return 0

    async def health(self) -> Health:
        try:
            await self._run(self._client.ping())
        except StoreAway as error:
            return Health(False, str(error))
        return Health(True)

    async def close(self) -> None:
        await self._shield.settle()
        await self._client.aclose()
        await self._client.connection_pool.disconnect()

    async def _do(
        self, script: Any, session_id: str, owner: str, *arguments: Any, epoch: int = 0, noted: bool = True
    ) -> Reply:
        """What the script answers after creation time and time to live, which go to the owner's listing."""
        reply = await self._ask(script, session_id, owner, *arguments)
        if reply[0] == scripts.FENCED and epoch:
            raise Fenced(f"epoch {epoch} is over: another server has claimed this session")
        if reply[0] == scripts.FENCED:
            raise Fenced("this session is in the store already; claim it")
        if reply[0] == scripts.MISSING:
            raise not_found(session_id)
        cursor = to_cursor(int(reply[2]), session_id)
        try:
            await (self._keep_noted(owner, cursor, int(reply[3])) if noted else self._forget(owner, cursor))
        except StoreAway:
            self._noted.pop(cursor, None)  # the session itself is written; the next save tries again
        return reply[4:]

    async def _ask(self, script: Any, session_id: str, owner: str, *arguments: Any) -> Reply:
        key = f"{{{self._prefix}:{session_id}}}"
        reply: Reply = await self._run(script(keys=[key], args=[session_id, _digest(owner), *arguments]))
        if reply[1] != session_id.encode():
            await self._run(self._client.connection_pool.disconnect(inuse_connections=True))
            raise StoreAway("the redis store gave another session's reply; its connections are made anew")
        return reply

    async def _look(self, session_id: str, owner: str) -> tuple[str, Stored]:
        """The session's cursor and what is known of it."""
        reply = await self._ask(self._describe, session_id, owner)
        if reply[0] != scripts.FOUND:
            raise not_found(session_id)
        created_ms, _, epoch, revision, size_bytes, now_s, now_us, left_ms = map(int, reply[2:10])
        stored = Stored(
            session_id=session_id,
            epoch=epoch,
            revision=revision,
            size_bytes=size_bytes,
            created_at=created_ms / 1000,
            expires_at=now_s + now_us / 1e6 + left_ms / 1000,
            summary=reply[10].decode("utf-8"),
            claim_id=reply[11].decode("utf-8"),
        )
        return to_cursor(created_ms, session_id), stored

    async def _look_or_forget(self, owner: str, cursor: str) -> tuple[str, Stored] | None:
        """What a listing's entry stands for; None, and no entry any more, where its session is gone."""
        try:
            found = await self._look(from_cursor(cursor)[1], owner)
        except SessionNotFound:
            found = None
        if found and found[0] == cursor:
            return found
        await self._forget(owner, cursor)
        return None

    async def _places(self, owner: str, limit: int, after: str) -> Names:
        made, _ = self._listing(owner)
        highest = f"({after}" if after else "+"
        members: list[Any] = await self._client.zrevrangebylex(made, highest, "-", start=0, num=limit)
        return [member.decode("utf-8") for member in members]

    async def _num_of(self, owner: str) -> int:
        """How many sessions of an owner are in the listing and should not be over; the clocks differ by little."""
        _, ends = self._listing(owner)
        return int(await self._run(self._client.zcount(ends, f"({time.time() * 1000:.0f}", "+inf")))

    async def _keep_noted(self, owner: str, cursor: str, ttl_ms: int) -> None:
        """See that the session is in its owner's listing; asks Redis only now and then."""
        now = self._clock()
        if self._noted.get(cursor, 0.0) > now:
            return
        if len(self._noted) >= MAX_NOTED:
            self._noted.clear()
        self._noted[cursor] = now + ttl_ms / 3000
        await self._run(self._note(keys=self._listing(owner), args=[cursor, 2 * ttl_ms]))

    async def _forget(self, owner: str, cursor: str) -> None:
        self._noted.pop(cursor, None)
        for key in self._listing(owner):
            await self._run(self._client.zrem(key, cursor))

    def _listing(self, owner: str) -> Names:
        slot = f"{{{self._prefix}:owner:{_digest(owner)}}}"
        return [f"{slot}:made", f"{slot}:ends"]

    async def _run(self, command: Awaitable[T]) -> T:
        return await self._shield.run(_translated(command))


def pool(settings: StoreSettings) -> BlockingConnectionPool:
    """Connections with a timeout on everything and no retries: breaker and callers decide what is tried again."""
    url = settings.url.get_secret_value()
    options: dict[str, Any] = {}
    if settings.password_file:
        options["password"] = _secret(settings)
    if url.startswith("rediss://"):
        options |= {
            "ssl_check_hostname": True,
            "ssl_ca_certs": _path(settings.tls_ca_file),
            "ssl_certfile": _path(settings.tls_cert_file),
            "ssl_keyfile": _path(settings.tls_key_file),
        }
    try:
        if "://" not in url:
            raise ValueError("no host: the library would take its own")
        return BlockingConnectionPool.from_url(
            url,
            max_connections=settings.max_connections,
            timeout=settings.timeout_s,
            socket_timeout=settings.timeout_s,
            socket_connect_timeout=settings.timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            **options,
        )
    except (ValueError, TypeError):
        raise ConfigRefused(
            "store.url is not one of redis://host:port/db, rediss://… or unix://…"  # the url itself may hold a secret
        ) from None


async def _translated(command: Awaitable[T]) -> T:
    """The command's answer; what goes wrong on the way, or within Redis, is StoreAway."""
    try:
        return await command
    except ResponseError as error:
        raise StoreAway(f"the redis store refuses: {type(error).__name__}: {str(error)[:100]}") from error
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreAway(f"the redis store cannot be reached: {type(error).__name__}") from error


def _digest(owner: str) -> str:
    return hashlib.sha256(owner.encode("utf-8")).hexdigest()[:32]


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _path(path: Any) -> str | None:
    return None if path is None else str(path)


def _secret(settings: StoreSettings) -> str:
    assert settings.password_file
    try:
        return settings.password_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigRefused(f"cannot read store.password_file: {error.strerror}") from None
