"""Commands get in at a server that asks for credentials; secrets come from files and the environment only."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.api.access_keys import new_key, to_toml
from tests.fakes.authority import Authority
from tests.fakes.toy_thread import toys_on_a_thread
from tests.service.api.test_urgency import waited
from tests.service.cli.conftest import Seqserve


def test_commands_take_files_options_and_the_environment(
    bare: Seqserve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "tls")
    cert, key = authority.issue("server")
    token, known = new_key("alice", admin=False, expires=None, now=datetime.now(UTC))
    server_file, token_file = tmp_path / "access.keys", tmp_path / "alice.key"
    server_file.touch(mode=0o600)
    server_file.write_text(to_toml([known]))
    token_file.write_text(token)
    pieces = {
        "tls": {"cert_file": str(cert), "key_file": str(key)},
        "auth": {"access_keys_file": str(server_file)},
    }
    with toys_on_a_thread(tmp_path / "models", **pieces) as toys:
        where = ("--address", toys.server.address)
        secure = ("--ca-file", str(authority.file))
        ran = bare("models", *where, *secure, "--token-file", str(token_file))
        assert (ran.code, "toy-es-en" in ran.out) == (0, True)
        ran = bare("translate", *where, *secure, "--token-file", str(token_file), "-m", "toy-es-en", "uno")
        assert (ran.code, ran.lines[-1]) == (0, "one")
        ran = bare("models", *where, *secure)
        assert (ran.code, "credentials" in ran.err) == (1, True)
        assert bare("health", *where, *secure).code == 0
        monkeypatch.setenv("SEQSERVE_CA_FILE", str(authority.file))
        monkeypatch.setenv("SEQSERVE_TOKEN", token)
        assert bare("models", *where).code == 0
        monkeypatch.delenv("SEQSERVE_TOKEN")
        monkeypatch.setenv("SEQSERVE_TOKEN_FILE", str(token_file))
        assert bare("sessions", *where).code == 0


@pytest.mark.parametrize("command", ["models", "translate", "classify", "sessions", "health", "evaluate"])
def test_a_token_cannot_stand_on_the_command_line(bare: Seqserve, command: str) -> None:
    ran = bare(command, "--token", "secret")
    assert ran.code == 2
    assert "No such option" in ran.err


def test_a_command_says_how_urgent_it_is(
    bare: Seqserve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with toys_on_a_thread(tmp_path / "models") as toys:
        asked = ("translate", "--address", toys.server.address, "-m", "toy-es-en", "uno")
        assert bare(*asked, "--priority", "low").lines[-1] == "one"
        monkeypatch.setenv("SEQSERVE_PRIORITY", "high")
        assert bare(*asked).lines[-1] == "one"
        assert waited(toys) == {"low": 1, "high": 1}
        assert bare(*asked, "--priority", "urgent").code == 2


def test_every_command_that_asks_a_server_can_show_who_asks() -> None:
    from typer.main import get_command

    from service.cli.app import app

    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    options = {name: {one.name for one in command.params} for name, command in commands.items()}
    asking = {name for name, known in options.items() if "address" in known}
    assert {"translate", "tag", "summarize", "score", "evaluate"} <= asking
    assert {name for name in asking if "tls" not in options[name]} == set()
