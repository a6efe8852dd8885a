"""Certificates: what is refused, and what is taken up while the server runs."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from seqserve.v1 import model_pb2, model_pb2_grpc
from service.api.tls import Certificates, certificates
from service.config import TlsSettings
from service.errors import ConfigRefused
from tests.fakes.authority import Authority
from tests.fakes.toy_server import Toys, serve_toys


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


def settings_of(authority: Authority, *, mutual: bool = False) -> TlsSettings:
    cert, key = authority.issue("server")
    return TlsSettings(cert_file=cert, key_file=key, client_ca_file=authority.file if mutual else None)


@asynccontextmanager
async def serving(folder: Path, settings: TlsSettings) -> AsyncIterator[Toys]:
    given = {name: str(value) for name, value in settings.model_dump().items() if value}
    async with serve_toys(folder / "models", tls=given) as toys:
        yield toys


async def answer(toys: Toys, *, trusted: bytes, pair: tuple[Path, Path] | None = None) -> grpc.StatusCode:
    """How a call ends, over a connection of its own."""
    cert, key = (file.read_bytes() for file in pair) if pair else (None, None)
    credentials = grpc.ssl_channel_credentials(trusted, key, cert)
    async with grpc.aio.secure_channel(toys.server.address, credentials) as channel:
        models: model_pb2_grpc.ModelServiceAsyncStub = model_pb2_grpc.ModelServiceStub(channel)
        try:
            await models.ListModels(model_pb2.ListModelsRequest(), timeout=20)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK


def shown(port: int) -> bytes:
    """The certificate that a new connection sees."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20)) as connection:
        return connection.getpeercert(binary_form=True) or b""


async def test_who_trusts_the_authority_is_served_and_nobody_without_tls(
    tmp_path: Path, authority: Authority
) -> None:
    async with serving(tmp_path, settings_of(authority)) as toys:
        assert await answer(toys, trusted=authority.pem) is grpc.StatusCode.OK
        other = Authority(tmp_path / "other")
        assert await answer(toys, trusted=other.pem) is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(grpc.aio.AioRpcError) as plain:
            await toys.models.ListModels(model_pb2.ListModelsRequest(), timeout=20)
        assert plain.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_mutual_tls_takes_only_certificates_of_its_authority(
    tmp_path: Path, authority: Authority
) -> None:
    stranger = Authority(tmp_path / "strange").issue("alice")
    late = authority.issue("late", life=timedelta(hours=-1))
    async with serving(tmp_path, settings_of(authority, mutual=True)) as toys:
        good = authority.issue("alice")
        assert await answer(toys, trusted=authority.pem, pair=good) is grpc.StatusCode.OK
        for pair in (None, stranger, late):
            assert await answer(toys, trusted=authority.pem, pair=pair) is grpc.StatusCode.UNAVAILABLE


async def test_a_new_certificate_is_shown_to_new_connections_and_calls_go_on(
    tmp_path: Path, authority: Authority
) -> None:
    settings = settings_of(authority)
    async with serving(tmp_path, settings) as toys:
        old = await asyncio.to_thread(shown, toys.server.port)
        credentials = grpc.ssl_channel_credentials(authority.pem)
        async with grpc.aio.secure_channel(toys.server.address, credentials) as channel:
            models: model_pb2_grpc.ModelServiceAsyncStub = model_pb2_grpc.ModelServiceStub(channel)
            await models.ListModels(model_pb2.ListModelsRequest())
            authority.issue("server")
            assert await asyncio.to_thread(shown, toys.server.port) != old
            await models.ListModels(model_pb2.ListModelsRequest())


async def test_clients_of_a_new_authority_are_let_in_once_its_file_is_there(
    tmp_path: Path, authority: Authority
) -> None:
    new = Authority(tmp_path / "new", "new authority")
    alice = new.issue("alice")
    async with serving(tmp_path, settings_of(authority, mutual=True)) as toys:
        assert await answer(toys, trusted=authority.pem, pair=alice) is grpc.StatusCode.UNAVAILABLE
        authority.file.write_bytes(authority.pem + new.pem)
        assert await answer(toys, trusted=authority.pem, pair=alice) is grpc.StatusCode.OK


def test_files_that_do_not_fit_are_left_alone_until_they_do(authority: Authority) -> None:
    settings = settings_of(authority)
    assert settings.cert_file
    assert settings.key_file
    certs = Certificates(settings)
    assert certs.changed() is None
    good = settings.cert_file.read_bytes(), settings.key_file.read_bytes()
    expires_at = certs.expires_at
    for cert, key in ((b"", good[1]), (good[0], b"half"), (good[0][:100], good[1])):
        settings.cert_file.write_bytes(cert)
        settings.key_file.write_bytes(key)
        assert certs.changed() is None
    other = authority.issue("other")
    settings.cert_file.write_bytes(other[0].read_bytes())  # its key has not come yet
    assert certs.changed() is None
    assert certs.expires_at == expires_at
    settings.cert_file.unlink()
    assert certs.changed() is None
    authority.issue("server", life=timedelta(days=3))
    assert certs.changed() is not None
    assert certs.expires_at > expires_at
    assert certs.changed() is None


def test_what_cannot_be_used_is_refused_at_the_start(tmp_path: Path, authority: Authority) -> None:
    cert, key = authority.issue("server")
    other_key = authority.issue("other")[1]
    late = authority.issue("late", life=timedelta(hours=-1))
    nothing = tmp_path / "nothing"
    text = tmp_path / "text"
    text.write_text("no certificate")
    text.chmod(0o600)
    for parts, why in (
        ({"cert_file": cert}, "needs both"),
        ({"client_ca_file": cert}, "needs both"),
        ({"cert_file": cert, "key_file": nothing}, "cannot read"),
        ({"cert_file": nothing, "key_file": key}, "cannot read"),
        ({"cert_file": cert, "key_file": other_key}, "is not the key of"),
        ({"cert_file": text, "key_file": key}, "holds no certificate"),
        ({"cert_file": cert, "key_file": text}, "holds no key"),
        ({"cert_file": late[0], "key_file": late[1]}, "out of date"),
        ({"cert_file": cert, "key_file": key, "client_ca_file": text}, "holds no certificate"),
    ):
        with pytest.raises(ConfigRefused, match=why):
            certificates(TlsSettings.model_validate(parts))


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o666])
def test_a_key_that_others_can_read_is_refused(authority: Authority, mode: int) -> None:
    settings = settings_of(authority)
    assert settings.key_file
    settings.key_file.chmod(mode)
    with pytest.raises(ConfigRefused, match=f"mode {mode:04o}"):
        Certificates(settings)
