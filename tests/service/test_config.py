import ast
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.cgroup import usable_cores
from service.config import Settings
from service.errors import ConfigRefused


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "seqserve.toml"
    file.write_text("[server]\nport = 1\nhost = 'a'\ngrace_s = 7\n[models]\nrepository = '/srv/models'\n")
    settings = Settings.load(
        file,
        {"server.port": 3, "scheduler": {"max_batch": 8, "max_queue": None}},
        {"SEQSERVE_SERVER__PORT": "2", "SEQSERVE_SERVER__HOST": "b"},
    )
    assert (settings.server.port, settings.server.host, settings.server.grace_s) == (3, "b", 7)
    assert settings.models.repository == Path("/srv/models")
    assert (settings.scheduler.max_batch, settings.scheduler.max_queue) == (8, 1024)


def test_workers_are_a_number_or_as_many_as_there_are_cores() -> None:
    def workers(given: str) -> int:
        return Settings.load(environment={"SEQSERVE_SERVER__WORKERS": given}).server.workers

    assert (workers("3"), workers("auto")) == (3, usable_cores())
    for wrong in ("0", "all"):
        with pytest.raises(ConfigRefused, match=rf"server\.workers = '{wrong}'"):
            workers(wrong)


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQSERVE_LOG__LEVEL", "debug")
    assert Settings.load().log.level == "debug"


def test_variables_that_only_look_alike_are_left_alone() -> None:
    kubernetes = {
        "SEQSERVE_PORT": "tcp://10.0.0.1:50051",
        "SEQSERVE_SERVICE_HOST": "10.0.0.1",
        "OTHER__PORT": "1",
    }
    assert Settings.load(environment=kubernetes) == Settings.load(environment={})


@pytest.mark.parametrize(
    ("flags", "environment", "says"),
    [
        ({"server.prot": 1}, {}, ["server.prot", "flags", "host, port"]),
        ({"servre.port": 1}, {}, ["servre", "server, models, engine"]),
        ({"server": 1}, {}, ["server", "host, port"]),
        ({"server.port.x": 1}, {}, ["server.port.x", "host, port"]),
        ({}, {"SEQSERVE_SERVER__PROT": "1"}, ["SEQSERVE_SERVER__PROT", "host, port"]),
        ({}, {"SEQSERVE_SERVER__PORT": "x"}, ["server.port = 'x'", "SEQSERVE_SERVER__PORT", "integer"]),
        ({"server.port": 65536}, {}, ["server.port = 65536", "65535"]),
        ({"server.grace_s": float("nan")}, {}, ["server.grace_s", "finite"]),
        ({"log.format": "xml"}, {}, ["log.format", "'console' or 'json'"]),
    ],
)
def test_a_wrong_setting_is_named_with_its_source_and_what_is_valid(
    flags: dict[str, Any], environment: dict[str, str], says: list[str]
) -> None:
    with pytest.raises(ConfigRefused) as error:
        Settings.load(None, flags, environment)
    for words in says:
        assert words in str(error.value)


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(ConfigRefused, match=r"port.*max_batch"):
        Settings.load(flags={"server.port": -1, "scheduler.max_batch": 0}, environment={})


@pytest.mark.parametrize("text", [None, "port = ", "\x00"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "seqserve.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigRefused, match=r"seqserve\.toml"):
        Settings.load(file)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().server.port = 1  # type: ignore[misc]


def test_every_setting_says_what_it_is() -> None:
    files = Path(__file__).parents[2].joinpath("service/config").glob("*.py")
    nodes = [node for file in files for node in ast.parse(file.read_text()).body]
    wanted = {type(piece.default).__name__ for piece in Settings.model_fields.values()}
    pieces = [node for node in nodes if isinstance(node, ast.ClassDef) and node.name in wanted]
    assert len(pieces) == len(wanted) == len(Settings.model_fields)
    for piece in pieces:
        for field, after in pairwise([*piece.body, None]):
            if isinstance(field, ast.AnnAssign):
                assert isinstance(after, ast.Expr), f"{piece.name}: {ast.unparse(field)} is not described"
