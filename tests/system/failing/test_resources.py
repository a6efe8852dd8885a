"""A server that runs out of something: file handles, threads, memory for a batch, room in Redis; or loses Redis."""

import os
import resource
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
import redis

from seqserve.v1 import model_pb2, model_pb2_grpc
from service.client import Client, ClientError, Session
from tests.conftest import Missing
from tests.fakes.faulty_graphs import ENDLESS, HUGE, NAN, THROWS, write_faulty
from tests.system.failing.served import EVERY_STEP, MODEL, Served, can_be_somebody, until
from tests.system.replicas.processes import Redis

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
"""How a client of HTTP/2 begins; the server answers with its settings."""


@contextmanager
def serving(server: Served) -> Iterator[Client]:
    server.start()
    server.wait()
    try:
        with server.client() as client:
            yield client
    finally:
        server.kill()


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that other users may look into; pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_out_of_file_handles_who_is_connected_is_served_and_others_are_as_soon_as_there_are_some(
    tmp_path: Path,
) -> None:
    server = Served(tmp_path)
    with serving(server) as client:
        before = client.classify(["uno"])
        server.limit(resource.RLIMIT_NOFILE, server.next_file())
        with socket.create_connection(("127.0.0.1", server.port)) as late:
            late.sendall(PREFACE)
            late.settimeout(1)
            with pytest.raises(TimeoutError):
                late.recv(1)  # the system has taken it up, the server cannot
            assert server.metric("seqserve_part_up", part="log") is None, (
                "nor is there a handle for the metrics"
            )
            for _ in range(10):
                assert client.classify(["uno"]) == before
            server.give_back(resource.RLIMIT_NOFILE)
            late.settimeout(60)
            assert late.recv(1), "whoever waited is taken up"
        until(lambda: server.metric("seqserve_part_up", part="metrics") == 1, "the metrics are shown again")
        assert all(client.parts().values())


def test_without_threads_all_goes_on_but_what_needs_one_and_that_too_as_soon_as_there_are_some(
    open_to_all: Path,
) -> None:
    """New connections, sessions and texts take none; a reader of the metrics and a model that is loaded do."""
    if not can_be_somebody():
        pytest.skip("the limit on threads holds for no process that can be begun here")
    settings = open_to_all / "settings.toml"
    settings.write_text("[server]\nadmin = true\n")
    server = Served(open_to_all, "--config", str(settings))
    server.be_somebody()
    with serving(server) as client, grpc.insecure_channel(server.address) as channel:
        before = client.classify(["uno"])
        write_faulty(open_to_all / "models", version="2")
        server.may_begin_threads(False)
        load = model_pb2_grpc.ModelServiceStub(channel).LoadModel
        for _ in range(3):
            with pytest.raises(grpc.RpcError) as error:
                load(model_pb2.LoadModelRequest(name=MODEL, version="2"))
            assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        for _ in range(10):
            with server.client() as other, other.session(model=MODEL) as session:
                session.feed("uno ")
                assert other.classify(["uno"]) == before
        assert server.metric("seqserve_part_up", part="log") is None
        assert all(client.parts().values())
        server.may_begin_threads(True)
        until(lambda: server.metric("seqserve_part_up", part="metrics") == 1, "the metrics are shown again")
        load(model_pb2.LoadModelRequest(name=MODEL, version="2"))
        assert client.classify(["uno"], version="2")[0].labels == before[0].labels
        assert server.end() == 0


def test_a_batch_for_which_there_is_no_memory_fails_and_the_server_goes_on(tmp_path: Path) -> None:
    server = Served(tmp_path)
    with serving(server) as client:
        before = client.classify(["uno"])
        peak = server.memory_bytes()
        for _ in range(3):
            with pytest.raises(ClientError, match="graph classify failed"):
                client.classify([HUGE])
        assert client.classify(["uno"]) == before
        assert server.memory_bytes() < peak + 100e6
        assert all(client.parts().values())


def test_a_server_lives_through_all_of_it_at_once(tmp_path: Path) -> None:
    """Every way in which its graph can fail, from many callers, while others are answered."""
    settings = tmp_path / "settings.toml"
    settings.write_text("[scheduler]\nmax_run_s = 0.3\n")
    server = Served(tmp_path, "--config", str(settings))
    with serving(server) as client:
        before = client.classify(["uno"])
        for word in (NAN, ENDLESS, THROWS, HUGE) * 3:
            with pytest.raises(ClientError):
                client.classify([word])
            assert client.classify(["uno"]) == before
        server.until_part(f"{MODEL}/1", works=True)
        assert server.end() == 0


@pytest.fixture
def store(tmp_path: Path, missing: Missing) -> Iterator[Redis]:
    if shutil.which("redis-server") is None:
        missing("redis-server")
    redis_server = Redis("redis", tmp_path)
    redis_server.start()
    try:
        redis_server.wait()
        yield redis_server
    finally:
        redis_server.kill()


def test_a_redis_without_room_and_one_that_is_killed_lose_nothing(tmp_path: Path, store: Redis) -> None:
    server = Served(tmp_path, "--store", store.url)
    with serving(server) as client, client.session(model=MODEL, durability=EVERY_STEP) as session:
        with redis.Redis(port=store.port) as full:
            said = [session.feed("uno ")]
            full.config_set("maxmemory-policy", "noeviction")
            full.config_set("maxmemory", 1)
            said.append(session.feed("dos "))
            server.until_part("store", works=False)
            said.append(session.feed("tres "))
            full.config_set("maxmemory", 0)
            server.until_part("store", works=True)
        store.kill()
        said.append(session.feed("cuatro "))
        server.until_part("store", works=False)
        store.start()
        store.wait()
        server.until_part("store", works=True)
        server.kill()
        server.start()
        server.wait()
        said.append(session.feed("cinco "))
        with client.session(model=MODEL) as alone:
            assert said == [alone.feed(f"{word} ") for word in ("uno", "dos", "tres", "cuatro", "cinco")]


def test_a_redis_that_stands_still_while_sessions_come_back_costs_nobody_his_session(
    tmp_path: Path, store: Redis
) -> None:
    """What it was asked meanwhile it does when it goes on, when nobody waits for it: also claims of the sessions.

    Where the server had no connection open just then, its claim was never asked: so three times.
    """
    first, *pairs, last = "uno", ("dos", "tres"), ("cuatro", "cinco"), ("seis", "uno"), "dos"
    server, late = Served(tmp_path, "--store", store.url), []
    with serving(server) as client, client.session(model=MODEL, durability=EVERY_STEP) as session:
        said = [session.feed(f"{first} ")]
        for meanwhile, after in pairs:
            before = epoch_of(session.session_id, store)
            leave(session, store)
            store.signal(signal.SIGSTOP)
            said.append(session.feed(f"{meanwhile} "))
            store.signal(signal.SIGCONT)
            server.until_part("store", works=True)
            late.append(epoch_of(session.session_id, store) > before)
            said.append(session.feed(f"{after} "))
        assert any(late), "the claim that nobody waits for takes place"
        server.kill()
        server.start()
        server.wait()
        said.append(session.feed(f"{last} "))
        words = [first, *(word for pair in pairs for word in pair), last]
        with client.session(model=MODEL) as alone:
            assert said == [alone.feed(f"{word} ") for word in words]


def leave(session: Session, store: Redis) -> None:
    """Until the server has told the store that nobody is there, so that it is not stopped in the midst of it."""
    until_ms = expires_at(session.session_id, store)
    session.detach()
    until(lambda: expires_at(session.session_id, store) > until_ms, "its time to live begins again")


def expires_at(session_id: str, store: Redis) -> int:
    """In milliseconds."""
    with redis.Redis(port=store.port) as looked:
        return int(looked.pexpiretime(key_of(session_id)))


def epoch_of(session_id: str, store: Redis) -> int:
    with redis.Redis(port=store.port) as looked:
        return int(looked.hget(key_of(session_id), "e") or 0)


def key_of(session_id: str) -> str:
    return f"{{seqserve:{session_id}}}"
