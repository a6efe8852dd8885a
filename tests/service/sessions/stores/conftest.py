"""Every store, empty, and the servers they need; a wall clock that the test moves where the store lets it."""

import asyncio
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.config import StoreSettings
from service.sessions.stores import Store
from service.sessions.stores.memory import MemoryStore
from service.sessions.stores.redis import RedisStore
from service.sessions.stores.sqlite import SqliteStore
from tests.conftest import Missing
from tests.fakes.ports import free_port

PATIENCE_S = 60.0


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class RedisServer:
    """A real redis-server of this machine, on a free port, with its data in a folder."""

    program: str
    folder: Path
    port: int
    options: tuple[str, ...] = ()
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "")
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [self.program, *options, "--enable-debug-command", "yes", *self.options],
                stdout=log,
                stderr=log,
            )
        self._wait()

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _wait(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(16).startswith((b"+PONG", b"-NOAUTH")):
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())


@pytest.fixture
def redis_program(missing: Missing) -> str:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    return program or missing("redis-server")


@pytest.fixture
def new_redis(tmp_path: Path, redis_program: str) -> Iterator[Callable[..., RedisServer]]:
    """Call it with options to start a server; all of them end with the test."""
    servers: list[RedisServer] = []

    def new(*options: str) -> RedisServer:
        folder = tmp_path / f"redis{len(servers)}"
        folder.mkdir()
        servers.append(RedisServer(redis_program, folder, free_port(), options))
        servers[-1].start()
        return servers[-1]

    yield new
    for server in servers:
        server.kill()


@pytest.fixture(scope="session")
def shared_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], RedisServer]]:
    """A server of each kind for all tests; each test has keys of its own in it."""
    servers: dict[str, RedisServer] = {}

    def server(kind: str, program: str) -> RedisServer:
        if kind not in servers:
            options = ("--cluster-enabled", "yes") if kind == "redis_cluster" else ()
            servers[kind] = RedisServer(program, tmp_path_factory.mktemp(kind), free_port(), options)
            servers[kind].start()
            if options:
                make_cluster_of_one(servers[kind])
        return servers[kind]

    yield server
    for each in servers.values():
        each.kill()


def redis_settings(server: RedisServer, timeout_s: float = 2.0, prefix: str = "seqserve") -> StoreSettings:
    return StoreSettings.model_validate(
        {"kind": "redis", "url": server.url, "timeout_s": timeout_s, "prefix": prefix}
    )


@dataclass
class Case:
    """A store, another one on the same data as a second replica has it, and how time passes for both."""

    store: Store
    other: Store
    kind: str
    clock: Clock

    async def wait(self, seconds: float) -> None:
        if self.kind.startswith("redis"):
            await asyncio.sleep(seconds)
        self.clock.now += seconds


@pytest.fixture(params=["memory", "sqlite", "redis", "redis_cluster"])
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    async with _open(request, tmp_path) as opened:
        yield opened


@asynccontextmanager
async def _open(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Case]:
    clock = Clock()
    if request.param == "memory":
        store: Store = MemoryStore(clock)
        other = store
    elif request.param == "sqlite":
        store, other = (SqliteStore(folder / "sessions.sqlite", 10.0, clock) for _ in range(2))
    else:
        shared, program = map(request.getfixturevalue, ("shared_servers", "redis_program"))
        settings = redis_settings(shared(request.param, program), 10.0, secrets.token_hex(4))
        store, other = (RedisStore(settings) for _ in range(2))
    yield Case(store, other, request.param, clock)
    await other.close()
    await store.close()


def make_cluster_of_one(server: RedisServer) -> None:
    """It refuses commands and scripts whose keys lie in several slots, as any cluster does."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"CLUSTER ADDSLOTSRANGE 0 16383\r\n")
        assert connection.recv(16) == b"+OK\r\n"
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            connection.sendall(b"CLUSTER INFO\r\n")
            if b"cluster_state:ok" in connection.recv(4096):
                return
            time.sleep(0.02)
    raise AssertionError("the cluster does not come up")


def python(*arguments: str) -> "subprocess.Popen[bytes]":
    """Another process with this source tree."""
    root = Path(__file__).resolve().parents[4]
    return subprocess.Popen([sys.executable, *arguments], cwd=root, stdout=subprocess.PIPE)
