import socket
from pathlib import Path
from typing import Any

import pytest

from service.api.exposure import complaints, is_local
from service.config import Settings
from service.errors import ConfigRefused
from tests.fakes.authority import Authority
from tests.fakes.toy_server import serve_toys

PUBLIC = "0.0.0.0"


def flags_named(tls: dict[str, Any] | None = None, **server: Any) -> list[str]:
    """The flags that the complaints about these settings name, in order."""
    settings = Settings.load(flags={"server": {"host": PUBLIC} | server, "tls": tls or {}}, environment={})
    return [complaint.rpartition("(")[2].rstrip(")") for complaint in complaints(settings)]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "::ffff:127.0.0.1"])
def test_an_address_of_this_machine_alone_is_local(host: str) -> None:
    assert is_local(host)
    assert not flags_named(host=host, admin=True)


@pytest.mark.parametrize(
    "host", [PUBLIC, "::", "", "192.0.2.1", "10.0.0.1", "::ffff:10.0.0.1", "no-such-host.invalid"]
)
def test_any_other_is_not(host: str) -> None:
    assert not is_local(host)
    assert flags_named(host=host)


def test_a_name_is_local_only_if_all_its_addresses_are(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = ["127.0.0.1", "10.0.0.1"]
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", (address, 0)) for address in addresses]
    )
    assert not is_local("two-faced")
    addresses.pop()
    assert is_local("two-faced")


def test_each_thing_that_is_open_needs_the_flag_that_means_it() -> None:
    assert flags_named() == ["--allow-plaintext", "--allow-anonymous"]
    assert flags_named(admin=True) == ["--allow-plaintext", "--allow-anonymous", "--allow-open-admin"]
    assert flags_named(allow_plaintext=True) == ["--allow-anonymous"]
    assert flags_named(allow_plaintext=True, allow_anonymous=True) == []
    assert flags_named(allow_plaintext=True, allow_anonymous=True, admin=True) == ["--allow-open-admin"]
    assert flags_named(allow_plaintext=True, allow_anonymous=True, admin=True, allow_open_admin=True) == []


def test_a_header_that_is_trusted_is_no_proof() -> None:
    assert "--allow-anonymous" in flags_named(trust_owner_header=True)


def test_what_tls_answers_needs_no_flag() -> None:
    assert flags_named({"cert_file": "c", "key_file": "k"}) == ["--allow-anonymous"]
    assert flags_named({"cert_file": "c", "key_file": "k", "client_ca_file": "a"}, admin=True) == []


async def test_a_server_refuses_to_start_and_names_the_flags(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match=r"--allow-plaintext.*--allow-anonymous"):
        async with serve_toys(tmp_path / "1", server={"host": PUBLIC}):
            pass
    meant = {"host": PUBLIC, "allow_plaintext": True, "allow_anonymous": True}
    async with serve_toys(tmp_path / "2", server=meant) as toys:
        assert toys.server.port


async def test_with_mutual_tls_it_starts_without_flags(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    cert, key = authority.issue("server")
    tls = {"cert_file": str(cert), "key_file": str(key), "client_ca_file": str(authority.file)}
    async with serve_toys(tmp_path / "models", server={"host": PUBLIC}, tls=tls) as toys:
        assert toys.server.port
