"""Who is let in, over the wire: by an access key, a token, a certificate, or a proxy's word."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from seqserve.v1 import model_pb2, model_pb2_grpc, sequence_pb2_grpc, session_pb2
from tests.fakes.authority import Authority
from tests.fakes.issuer import Issuer
from tests.fakes.key_file import KeyFile, Metadata, bearer
from tests.fakes.toy_server import Toys, serve_toys
from tests.fakes.wire import Refused, Talk, model, refused


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "access.keys")


@asynccontextmanager
async def serving(folder: Path, **pieces: Any) -> AsyncIterator[Toys]:
    async with serve_toys(folder / "models", **pieces) as toys:
        yield toys


async def models_listed(toys: Toys, metadata: Metadata = ()) -> int:
    answer = await toys.models.ListModels(model_pb2.ListModelsRequest(), metadata=metadata)
    return len(answer.models)


async def turned_away(toys: Toys, metadata: Metadata = ()) -> str:
    """Why the caller is not let in."""
    answer = await refused(toys.models.ListModels(model_pb2.ListModelsRequest(), metadata=metadata))
    assert (answer.code, answer.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    return why(answer)


def why(answer: Refused) -> str:
    info = answer.detail(error_details_pb2.ErrorInfo)
    return str(info.metadata["why"])


def counted(toys: Toys, reason: str) -> float:
    registry = toys.server.metrics.registry
    return registry.get_sample_value("seqserve_auth_refused_total", {"why": reason}) or 0.0


def talk(toys: Toys, metadata: Metadata = ()) -> Talk:
    return Talk(toys.sequence.Session(metadata=metadata))


async def open_session(toys: Toys, metadata: Metadata = ()) -> tuple[Talk, str]:
    stream = talk(toys, metadata)
    opened = await stream.say(open=session_pb2.Open(model=model()))
    return stream, str(opened.session_id)


async def test_without_credentials_nobody_is_let_in_but_health_tells(tmp_path: Path, keys: KeyFile) -> None:
    async with serving(tmp_path, auth=keys.settings()) as toys:
        assert await turned_away(toys) == "missing"
        answer = await refused(talk(toys).say(open=session_pb2.Open(model=model())))
        assert answer.code is grpc.StatusCode.UNAUTHENTICATED
        health = health_pb2_grpc.HealthStub(toys.channel)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == 1
        assert counted(toys, "missing") == 2


async def test_a_key_lets_in_and_its_owner_owns_the_sessions(tmp_path: Path, keys: KeyFile) -> None:
    alice, bob = bearer(keys.add("alice")), bearer(keys.add("bob"))
    async with serving(tmp_path, auth=keys.settings()) as toys:
        assert await models_listed(toys, alice) == 4
        stream, session_id = await open_session(toys, alice)
        await stream.leave()
        resume = session_pb2.Resume(session_id=session_id)
        answer = await refused(talk(toys, bob).say(resume=resume))
        assert answer.code is grpc.StatusCode.NOT_FOUND
        listed = await toys.sessions.ListSessions(session_pb2.ListSessionsRequest(), metadata=alice)
        assert [one.session_id for one in listed.sessions] == [session_id]
        again = talk(toys, alice)
        await again.say(resume=session_pb2.Resume(session_id=session_id))


async def test_the_header_is_one_bearer_or_it_is_refused(tmp_path: Path, keys: KeyFile) -> None:
    key = keys.add("alice")
    async with serving(tmp_path, auth=keys.settings()) as toys:
        assert await models_listed(toys, (("authorization", f"bearer  {key}"),)) == 4
        for metadata in (
            bearer(key) + bearer(key),
            (("authorization", key),),
            (("authorization", f"Basic {key}"),),
            (("authorization", ""),),
            (("authorization", "Bearer"),),
            bearer("no.such.kind"),
        ):
            assert await turned_away(toys, metadata) == "malformed", metadata
        assert await turned_away(toys, bearer(f"{key}x")) == "unknown_key"
        assert await turned_away(toys, (("x-authorization", f"Bearer {key}"),)) == "missing"


async def test_a_key_that_is_added_is_taken_and_one_that_is_removed_is_not(
    tmp_path: Path, keys: KeyFile
) -> None:
    alice = keys.add("alice")
    async with serving(tmp_path, auth=keys.settings()) as toys:
        stream, _ = await open_session(toys, bearer(alice))
        await stream.feed("uno ")
        bob = keys.add("bob")
        await until(toys, lambda: models_listed(toys, bearer(bob)))
        await stream.feed("dos ")
        keys.remove(alice)
        await until(toys, lambda: turned_away(toys, bearer(alice)))
        answer = await refused(stream.feed("tres "))
        assert (answer.code, why(answer)) == (grpc.StatusCode.UNAUTHENTICATED, "unknown_key")


async def test_a_file_that_is_damaged_changes_nothing(tmp_path: Path, keys: KeyFile) -> None:
    alice = bearer(keys.add("alice"))
    async with serving(tmp_path, auth=keys.settings()) as toys:
        keys.path.write_text("{")
        toys.server.visits.door.look(at_once=True)
        assert await models_listed(toys, alice) == 4


async def test_a_stream_ends_with_the_time_of_its_credentials(
    tmp_path: Path, keys: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    alice = bearer(keys.add("alice", expires=soon.replace(microsecond=0)))
    async with serving(tmp_path, auth=keys.settings()) as toys:
        stream, session_id = await open_session(toys, alice)
        monkeypatch.setattr(toys.server.visits.door, "_clock", lambda: soon.timestamp() + 1)
        answer = await refused(stream.feed("uno "))
        assert (answer.code, why(answer)) == (grpc.StatusCode.UNAUTHENTICATED, "expired_key")
        fresh = talk(toys, bearer(keys.add("alice")))
        toys.server.visits.door.look(at_once=True)
        await fresh.say(resume=session_pb2.Resume(session_id=session_id))


async def test_changes_of_models_take_the_role_admin(tmp_path: Path, keys: KeyFile) -> None:
    alice, root = bearer(keys.add("alice")), bearer(keys.add("root", admin=True))
    named = bearer(keys.add("named"))
    auth = keys.settings() | {"admins": "named, other"}
    unload = model_pb2.UnloadModelRequest(name="none", version="1")
    async with serving(tmp_path, auth=auth, server={"admin": True}) as toys:
        answer = await refused(toys.models.UnloadModel(unload, metadata=alice))
        assert (answer.code, answer.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_ALLOWED")
        for admin in (root, named):
            answer = await refused(toys.models.UnloadModel(unload, metadata=admin))
            assert answer.code is grpc.StatusCode.NOT_FOUND
        assert counted(toys, "role") == 1
    async with serving(tmp_path / "off", auth=auth) as toys:
        answer = await refused(toys.models.UnloadModel(unload, metadata=root))
        assert answer.code is grpc.StatusCode.PERMISSION_DENIED


async def test_strangers_are_let_in_beside_owners_only_where_a_setting_says_so(
    tmp_path: Path, keys: KeyFile
) -> None:
    alice = bearer(keys.add("alice"))
    server = {"allow_anonymous": True, "admin": True}
    async with serving(tmp_path, auth=keys.settings(), server=server) as toys:
        assert await models_listed(toys) == 4
        assert await models_listed(toys, alice) == 4
        assert await turned_away(toys, bearer("sqk_aaaaaaaa_" + "A" * 43)) == "unknown_key"
        unload = model_pb2.UnloadModelRequest(name="none", version="1")
        answer = await refused(toys.models.UnloadModel(unload))
        assert answer.code is grpc.StatusCode.PERMISSION_DENIED


async def test_a_token_lets_in_also_after_its_issuer_has_a_new_key(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path / "jwks.json", "ES256")
    async with serving(tmp_path, auth=issuer.settings() | {"reload_s": 0.1}) as toys:
        old = bearer(issuer.token("alice"))
        assert await models_listed(toys, old) == 4
        issuer.rotate()
        await until(toys, lambda: models_listed(toys, bearer(issuer.token("alice"))))
        assert await models_listed(toys, old) == 4
        issuer.rotate(forget=True)
        await until(toys, lambda: models_listed(toys, bearer(issuer.token("alice"))))
        assert await turned_away(toys, old) == "key"  # though it was verified before
        assert await turned_away(toys, bearer(issuer.token(exp=0))) == "expired"


async def test_keys_and_tokens_are_taken_side_by_side(tmp_path: Path, keys: KeyFile) -> None:
    issuer, key = Issuer(tmp_path / "jwks.json"), keys.add("alice")
    async with serving(tmp_path, auth=keys.settings() | issuer.settings()) as toys:
        for credentials in (key, issuer.token("alice")):
            assert await models_listed(toys, bearer(credentials)) == 4


@asynccontextmanager
async def shown(toys: Toys, authority: Authority, pair: tuple[Path, Path]) -> AsyncIterator[Any]:
    """Stubs over a connection that shows this certificate."""
    cert, key = (file.read_bytes() for file in pair)
    credentials = grpc.ssl_channel_credentials(authority.pem, key, cert)
    async with grpc.aio.secure_channel(toys.server.address, credentials) as channel:
        yield Toys(
            toys.server,
            toys.engines,
            channel,
            sequence_pb2_grpc.SequenceServiceStub(channel),
            model_pb2_grpc.ModelServiceStub(channel),
        )


def mutual(authority: Authority) -> dict[str, str]:
    cert, key = authority.issue("server")
    return {"cert_file": str(cert), "key_file": str(key), "client_ca_file": str(authority.file)}


async def test_a_certificate_names_the_owner(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    async with serving(tmp_path, tls=mutual(authority), auth={"admins": "spiffe://here/root"}) as toys:
        async with shown(toys, authority, authority.issue("alice")) as alice:
            stream, session_id = await open_session(alice)
            await stream.leave()
        async with shown(toys, authority, authority.issue("a2", subject="alice")) as again:
            listed = await again.sessions.ListSessions(session_pb2.ListSessionsRequest())
            assert [one.session_id for one in listed.sessions] == [session_id]
        uri = ("spiffe://here/bob",)
        async with shown(toys, authority, authority.issue("b", subject="alice", uris=uri)) as bob:
            answer = await refused(talk(bob).say(resume=session_pb2.Resume(session_id=session_id)))
            assert answer.code is grpc.StatusCode.NOT_FOUND
        two = ("spiffe://here/a", "spiffe://here/b")
        async with shown(toys, authority, authority.issue("c", subject="", uris=two)) as nobody:
            answer = await refused(nobody.models.ListModels(model_pb2.ListModelsRequest()))
            assert why(answer) == "certificate"


async def test_a_token_over_a_connection_with_a_certificate_says_who_it_is(tmp_path: Path) -> None:
    authority, issuer = Authority(tmp_path / "tls"), Issuer(tmp_path / "jwks.json")
    async with (
        serving(tmp_path, tls=mutual(authority), auth=issuer.settings()) as toys,
        shown(toys, authority, authority.issue("gateway")) as gateway,
    ):
        stream, _ = await open_session(gateway, bearer(issuer.token("alice")))
        await stream.leave()
        assert not (await gateway.sessions.ListSessions(session_pb2.ListSessionsRequest())).sessions
        request = session_pb2.ListSessionsRequest()
        alice = bearer(issuer.token("alice"))
        assert len((await gateway.sessions.ListSessions(request, metadata=alice)).sessions) == 1


async def test_a_proxys_word_counts_only_where_the_proxy_has_shown_who_it_is(
    tmp_path: Path, keys: KeyFile
) -> None:
    proxy = bearer(keys.add("proxy"))
    owner = (("seqserve-owner", "alice"),)
    server = {"trust_owner_header": True}
    async with serving(tmp_path, auth=keys.settings(), server=server) as toys:
        assert await turned_away(toys, owner) == "missing"
        stream, session_id = await open_session(toys, proxy + owner)
        await stream.leave()
        request = session_pb2.ListSessionsRequest()
        listed = await toys.sessions.ListSessions(request, metadata=proxy + owner)
        assert [one.session_id for one in listed.sessions] == [session_id]
        assert not (await toys.sessions.ListSessions(request, metadata=proxy)).sessions


async def until(toys: Toys, attempt: Any) -> None:
    """Until it no longer fails; the files are looked at now and then."""
    for _ in range(200):
        try:
            await attempt()
            return
        except (grpc.aio.AioRpcError, pytest.fail.Exception):
            toys.server.visits.door.look(at_once=True)
    raise AssertionError("it goes on failing")
