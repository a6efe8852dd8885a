"""Clients get in: TLS, certificates and tokens, sync and async alike."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.api.access_keys import new_key, to_toml
from service.client import InvalidRequest, NotAllowed, Tls, Unavailable
from tests.fakes.authority import Authority
from tests.fakes.toy_server import Toys
from tests.fakes.toy_thread import toys_on_a_thread
from tests.service.client.conftest import Connect


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """What a client holds; the server's file lies beside it."""
    key, known = new_key("alice", admin=False, expires=None, now=datetime.now(UTC))
    server = tmp_path / "access.keys"
    server.touch(mode=0o600)
    server.write_text(to_toml([known]))
    file = tmp_path / "alice.key"
    file.write_text(f"{key}\n")
    return file


@pytest.fixture
def toys(tmp_path: Path, authority: Authority, key_file: Path) -> Iterator[Toys]:
    cert, key = authority.issue("server")
    tls = {"cert_file": str(cert), "key_file": str(key)}
    auth = {"access_keys_file": str(tmp_path / "access.keys")}
    with toys_on_a_thread(tmp_path / "models", tls=tls, auth=auth) as toys:
        yield toys


def used(client: Any) -> list[str]:
    """All kinds of calls there are: one answer, a stream of them, a session."""
    told = [client.translate("uno dos", model="toy-es-en").text]
    told.append("".join(token.piece for token in client.stream_translate("tres", model="toy-es-en")))
    session = client.session(model="toy-es-en")
    session.feed("cuatro")
    told.append("".join(token.piece for token in session.generate()))
    session.close()
    return [*told, str(len(client.models())), str(len(client.sessions()))]


ANSWERS = ["one two", "three", "four", "4", "0"]


def test_a_token_and_tls_open_every_kind_of_call(
    connect: Connect, toys: Toys, authority: Authority, key_file: Path
) -> None:
    tls = Tls(ca_file=authority.file)
    for token in (key_file, key_file.read_text().strip()):
        with connect(toys.server.address, tls=tls, token=token) as client:
            assert used(client) == ANSWERS


def test_a_token_in_a_file_is_read_again_for_every_call(
    connect: Connect, toys: Toys, authority: Authority, key_file: Path
) -> None:
    good = key_file.read_text()
    with connect(toys.server.address, tls=Tls(ca_file=authority.file), token=key_file) as client:
        key_file.write_text("sqk_another")
        with pytest.raises(NotAllowed) as error:
            client.models()
        assert error.value.reason == "UNAUTHENTICATED"
        key_file.write_text(good)
        assert len(client.models()) == 4


def test_without_a_token_or_with_another_authority_nobody_gets_in(
    connect: Connect, toys: Toys, authority: Authority, key_file: Path, tmp_path: Path
) -> None:
    with (
        connect(toys.server.address, tls=Tls(ca_file=authority.file)) as client,
        pytest.raises(NotAllowed, match="credentials"),
    ):
        client.models()
    other = Tls(ca_file=Authority(tmp_path / "other").file)
    for tls in (other, True, False):
        with (
            connect(toys.server.address, tls=tls, token=key_file, max_attempts=1, timeout=20) as client,
            pytest.raises(Unavailable),
        ):
            client.models()


def test_a_certificate_of_ones_own_opens_and_the_name_may_be_another(
    connect: Connect, authority: Authority, tmp_path: Path
) -> None:
    cert, key = authority.issue("server")
    mutual = {"cert_file": str(cert), "key_file": str(key), "client_ca_file": str(authority.file)}
    own_cert, own_key = authority.issue("alice")
    with toys_on_a_thread(tmp_path / "models", tls=mutual) as toys:
        tls = Tls(authority.file, own_cert, own_key, server_name="localhost")
        with connect(toys.server.address, tls=tls) as client:
            assert used(client) == ANSWERS


def test_a_token_does_not_travel_in_the_clear_to_another_machine(connect: Connect) -> None:
    with pytest.raises(InvalidRequest, match="TLS only"):
        connect("192.0.2.1:50051", token="secret")
    with pytest.raises(InvalidRequest, match="TLS only"):
        connect(["127.0.0.1:50051", "192.0.2.1:50051"], token="secret")


def test_what_is_no_token_or_no_file_is_refused_at_once_and_not_shown(
    connect: Connect, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for token in ("", "two words", "line\nbreak", "tökén", empty, tmp_path / "none"):
        with pytest.raises(InvalidRequest) as error:
            connect("127.0.0.1:1", token=token)
        assert not isinstance(token, str) or not token or token not in str(error.value)
    with (
        pytest.raises(InvalidRequest, match="needs its key"),
        connect("127.0.0.1:1", tls=Tls(cert_file=empty)) as client,
    ):
        client.models()


def test_a_client_does_not_show_its_token() -> None:
    from service.client.access import access

    assert "secret" not in repr(access(False, "secret"))
