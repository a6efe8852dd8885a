"""The Redis store against a server that is killed, stopped, emptied and slowed down."""

import asyncio
import datetime
import ipaddress
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from redis.asyncio import Redis

from service.config import StoreSettings
from service.errors import ConfigRefused, SessionNotFound, StoreAway
from service.metrics import Metrics
from service.sessions.stores import Breaker
from service.sessions.stores.redis import RedisStore
from tests.fakes.ports import free_port
from tests.fakes.waiting import until
from tests.service.sessions.stores.conftest import Clock, RedisServer, redis_settings

New = Callable[..., RedisServer]
Connect = Callable[[StoreSettings], RedisStore]
LOCALHOST = ipaddress.ip_address("127.0.0.1")
FSYNC = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    stores: list[RedisStore] = []

    def new(settings: StoreSettings) -> RedisStore:
        stores.append(RedisStore(settings))
        return stores[-1]

    yield new
    for store in stores:
        await store.close()


async def test_a_server_that_is_killed_and_comes_back_has_everything_that_was_answered(
    new_redis: New,
    connect: Connect,
) -> None:
    server = new_redis(*FSYNC)
    store = connect(redis_settings(server))
    await store.create("s", "ann", 60)
    for revision in range(1, 20):
        await store.save("s", "ann", 1, revision, b"%d" % revision, 60)
    server.kill()
    with pytest.raises(StoreAway):
        await store.save("s", "ann", 1, 20, b"20", 60)
    assert not (await store.health()).serving
    server.start()
    assert await store.save("s", "ann", 1, 21, b"21", 60) == 21
    assert (await store.claim("s", "ann")).data == b"21"


async def test_a_server_that_has_forgotten_its_scripts_gets_them_again(
    new_redis: New, connect: Connect
) -> None:
    server = new_redis()
    store = connect(redis_settings(server))
    await store.create("s", "ann", 60)
    await command(server, "SCRIPT", "FLUSH")
    assert await store.save("s", "ann", 1, 1, b"x", 60) == 1


async def test_a_stopped_server_trips_the_breaker_and_is_found_again(
    new_redis: New, connect: Connect
) -> None:
    server = new_redis()
    clock = Clock()
    store = Breaker(connect(redis_settings(server, timeout_s=1.0)), Metrics(), failures=2, clock=clock)
    await store.create("s", "ann", 60)
    assert server.process
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        for _ in range(2):
            with pytest.raises(StoreAway):
                await store.touch("s", "ann", 1, 60)
        assert store.state == "open"
        for _ in range(100):
            with pytest.raises(StoreAway, match="left alone"):
                await store.touch("s", "ann", 1, 60)
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    await until_back(store, clock)
    assert (await store.claim("s", "ann")).epoch == 2


async def test_a_slow_server_answers_late_to_nobody_else(new_redis: New, connect: Connect) -> None:
    """Callers leave, or wait too long, while the server sleeps; replies that come later are given to no one else."""
    server = new_redis()
    store = connect(redis_settings(server, timeout_s=3.0))
    for n in range(20):
        await store.create(f"s{n}", "ann", 60, data=b"%d" % n)
    assert server.process
    os.kill(server.process.pid, signal.SIGSTOP)
    leavers = [asyncio.create_task(store.claim(f"s{n}", "ann")) for n in range(10)]
    waiters = [asyncio.create_task(store.claim(f"s{n}", "ann")) for n in range(10, 14)]
    await asyncio.sleep(0.1)
    for leaver in leavers:
        leaver.cancel()
    outcomes = await asyncio.gather(*leavers, *waiters, return_exceptions=True)
    os.kill(server.process.pid, signal.SIGCONT)
    assert [type(outcome) for outcome in outcomes[:10]] == [asyncio.CancelledError] * 10
    assert [type(outcome) for outcome in outcomes[10:]] == [StoreAway] * 4
    for _ in range(3):
        claims = await asyncio.gather(*(store.claim(f"s{n}", "ann") for n in range(20)))
        assert [claimed.data for claimed in claims] == [b"%d" % n for n in range(20)]


async def test_a_cancelled_caller_leaves_its_command_to_its_end(new_redis: New, connect: Connect) -> None:
    server = new_redis()
    store = connect(redis_settings(server, timeout_s=20.0))
    await store.create("s", "ann", 60)
    await command(server, "CLIENT", "PAUSE", "60000", "WRITE")
    saving = asyncio.create_task(store.save("s", "ann", 1, 1, b"x", 60))
    await asyncio.sleep(0.1)
    saving.cancel()
    await asyncio.gather(saving, return_exceptions=True)
    assert saving.cancelled()
    await command(server, "CLIENT", "UNPAUSE")
    async with asyncio.timeout(30):
        while (await store.describe("s", "ann")).revision != 1:  # noqa: ASYNC110  (it tells nobody)
            await asyncio.sleep(0.01)


async def test_a_reply_of_another_session_is_refused_and_the_connections_are_made_anew(
    new_redis: New,
    connect: Connect,
) -> None:
    """Forced: one reply is left on a connection, as a cancelled command used to do, and the next caller reads it."""
    server = new_redis()
    settings = redis_settings(server, timeout_s=20.0).model_copy(update={"max_connections": 1})
    store = connect(settings)
    await store.create("mine", "ann", 60, data=b"mine")
    await store.create("theirs", "ann", 60, data=b"theirs")
    await store.describe("theirs", "ann")  # loads the script
    pool: Any = store._client.connection_pool
    connection = await pool.get_connection()
    key = "{seqserve:theirs}"
    digest = (await command(server, "HGET", key, "o")).decode()
    # The reply must not be there yet when the pool looks for leftovers.
    await command(server, "CLIENT", "PAUSE", "60000", "WRITE")
    await connection.send_command("EVALSHA", store._describe.sha, 1, key, "theirs", digest)
    await pool.release(connection)
    claiming = asyncio.create_task(store.claim("mine", "ann"))
    await until(lambda: bool(connection._reader._waiter))
    await command(server, "CLIENT", "UNPAUSE")
    with pytest.raises(StoreAway, match="another session's reply"):
        await claiming
    assert (await store.claim("mine", "ann")).data == b"mine"


async def test_all_keys_of_a_session_lie_in_one_slot_and_those_of_a_listing_too(
    new_redis: New, connect: Connect
) -> None:
    server = new_redis()
    store = connect(redis_settings(server, prefix="p"))
    await store.create("s", "ann", 60, data=b"x")
    keys = sorted(key.decode() for key in await command(server, "KEYS", "*"))
    assert "{p:s}" in keys
    assert len({key.partition("}")[0] for key in keys if ":owner:" in key}) == 1
    assert "ann" not in " ".join(keys)
    for key in keys:
        assert 0 < await command(server, "PTTL", key) <= 120_000


async def test_a_listing_that_was_lost_is_put_back_by_later_saves(new_redis: New, connect: Connect) -> None:
    server = new_redis()
    store = connect(redis_settings(server))
    await store.create("s", "ann", 60)
    for key in await command(server, "KEYS", "*:owner:*"):
        await command(server, "DEL", key)
    store._noted.clear()  # as after a restart, or a third of the time to live later
    await store.save("s", "ann", 1, 1, b"x", 60)
    assert [stored.session_id for stored in (await store.list("ann", 10)).sessions] == ["s"]


async def test_what_is_remembered_of_sessions_ends_with_them_though_nobody_closed_them(
    new_redis: New,
) -> None:
    now = 0.0
    store = RedisStore(redis_settings(new_redis()), clock=lambda: now)
    for n in range(20):
        await store.create(f"s{n}", "ann", 3 if n else 300)
    now = 2.0
    await store.sweep()
    assert len(store._noted) == 1
    await store.close()


async def test_a_listing_heals_itself_of_sessions_that_are_gone(new_redis: New, connect: Connect) -> None:
    server = new_redis()
    store = connect(redis_settings(server))
    for n in range(9):
        await store.create(f"s{n}", "ann", 60)
        await asyncio.sleep(0.002)
    for n in (8, 7, 5, 0):
        await command(server, "DEL", f"{{seqserve:s{n}}}")
    page = await store.list("ann", 3)
    assert [stored.session_id for stored in page.sessions] == ["s6", "s4", "s3"]
    assert [s.session_id for s in (await store.list("ann", 3, page.after)).sessions] == ["s2", "s1"]
    (made,) = await command(server, "KEYS", "*:made")
    assert await command(server, "ZCARD", made) == 5


async def test_a_listing_of_one_who_never_looks_does_not_grow(new_redis: New, connect: Connect) -> None:
    server = new_redis()
    store = connect(redis_settings(server))
    await store.create("keeps-the-listing-alive", "ann", 60)
    for n in range(20):
        await store.create(f"s{n}", "ann", 0.05)
    await asyncio.sleep(0.3)
    await store.create("last", "ann", 60)
    for ending in ("made", "ends"):
        (key,) = await command(server, "KEYS", f"*:{ending}")
        assert await command(server, "ZCARD", key) == 2


async def test_an_emptied_server_can_be_given_the_session_again(new_redis: New, connect: Connect) -> None:
    server = new_redis()
    store = connect(redis_settings(server))
    await store.create("s", "ann", 60)
    await command(server, "FLUSHALL")
    with pytest.raises(SessionNotFound):
        await store.save("s", "ann", 1, 1, b"x", 60)
    assert await store.create("s", "ann", 60, epoch=2, revision=1, data=b"x") == 2


async def test_a_full_server_is_away(new_redis: New, connect: Connect) -> None:
    server = new_redis("--maxmemory", "1mb", "--maxmemory-policy", "noeviction")
    store = connect(redis_settings(server))
    with pytest.raises(StoreAway, match="OutOfMemoryError"):
        await store.create("s", "ann", 60, data=bytes(1_000_000))


async def test_passwords_come_from_url_or_file_and_are_shown_nowhere(
    new_redis: New, connect: Connect, tmp_path: Path
) -> None:
    server = new_redis("--requirepass", "hunter2")
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    wrong = server.url.replace("://", "://:hunter3@")
    right = server.url.replace("://", "://:hunter2@")
    for given, works in (
        ({"url": right}, True),
        ({"url": server.url, "password_file": file}, True),
        ({"url": wrong}, False),
        ({"url": server.url}, False),
    ):
        settings = StoreSettings.model_validate({"kind": "redis", **given})
        store = connect(settings)
        health = await store.health()
        assert health.serving is works
        assert "hunter" not in health.detail + repr(settings)


@pytest.mark.parametrize("url", ["http://:hunter2@x", "redis:hunter2@x", "rediss:hunter2", "unix:hunter2"])
def test_settings_that_cannot_be_are_refused_without_the_url(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match="not one of redis://host:port/db") as refused:
        RedisStore(StoreSettings.model_validate({"url": url}))
    assert "hunter2" not in str(refused.value)
    with pytest.raises(ConfigRefused, match="password_file"):
        RedisStore(StoreSettings(password_file=tmp_path / "none"))


# TLS


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A folder with ca.pem, and cert.pem and key.pem for 127.0.0.1."""
    now = datetime.datetime.now(datetime.UTC)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "server")}
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
    for name, subject in (("ca", ca_name), ("server", x509.Name([]))):
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(keys[name].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(LOCALHOST)]), critical=name != "ca")
            .sign(keys["ca"], hashes.SHA256())
        )
        (tmp_path / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        key = keys[name].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / f"{name}.key").write_bytes(key)
    return tmp_path


async def test_over_tls_both_sides_show_certificates(
    new_redis: New, connect: Connect, certificates: Path
) -> None:
    tls_port = free_port()
    files = {name: certificates / name for name in ("ca.pem", "server.pem", "server.key")}
    new_redis(
        *("--tls-port", str(tls_port), "--tls-ca-cert-file", str(files["ca.pem"])),
        *("--tls-cert-file", str(files["server.pem"]), "--tls-key-file", str(files["server.key"])),
    )

    def settings(host: str, **tls: Path) -> StoreSettings:
        return StoreSettings.model_validate({"url": f"rediss://{host}:{tls_port}/0", "timeout_s": 5.0, **tls})

    ours = {"tls_cert_file": files["server.pem"], "tls_key_file": files["server.key"]}
    ca = files["ca.pem"]
    store = connect(settings("127.0.0.1", tls_ca_file=ca, **ours))
    await store.create("s", "ann", 60, data=b"x")
    assert (await store.claim("s", "ann")).data == b"x"
    for wrong in (
        settings("127.0.0.1", **ours),  # an authority that nobody vouches for
        settings("localhost", tls_ca_file=ca, **ours),  # another host's certificate
        settings("127.0.0.1", tls_ca_file=ca),  # no certificate of our own
    ):
        assert not (await connect(wrong).health()).serving


async def until_back(store: Breaker, clock: Clock) -> None:
    for _ in range(100):
        clock.now += 10
        if (await store.health()).serving:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the store was not found again")


async def command(server: RedisServer, *words: str) -> Any:
    """One command, from outside."""
    client = Redis.from_url(server.url, socket_timeout=30)
    try:
        return await client.execute_command(*words)  # type: ignore[no-untyped-call]
    finally:
        await client.aclose()
