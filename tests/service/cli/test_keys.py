import json
import stat
from pathlib import Path

import pytest

from service.api.access_keys import AccessKeys, read_keys
from tests.service.cli.conftest import Seqserve
from tests.service.cli.process import Process


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "access.keys"


def listed(bare: Seqserve, file: Path) -> list[tuple[str, list[str]]]:
    ran = bare("keys", "list", "--file", str(file), "--json")
    found = [json.loads(line) for line in ran.lines if line]
    return [(key["owner"], key["roles"]) for key in found]


def test_a_key_is_printed_once_and_its_hash_is_kept(bare: Seqserve, file: Path) -> None:
    ran = bare("keys", "add", "alice", "--file", str(file))
    assert ran.code == 0
    [key] = ran.lines
    [known] = read_keys(file)
    assert AccessKeys([known]).caller(key, known.created).owner == "alice"
    assert key.split("_", 2)[2] not in file.read_text()
    assert key not in ran.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_keys_are_added_listed_and_removed(bare: Seqserve, file: Path) -> None:
    bare("keys", "add", "alice", "--file", str(file))
    bare("keys", "add", "root", "--admin", "--days", "30", "--file", str(file))
    assert listed(bare, file) == [("alice", ["use"]), ("root", ["use", "admin"])]
    ran = bare("keys", "list", "--file", str(file))
    assert "alice" in ran.out
    assert "always" in ran.out
    assert all(key.sha256 not in ran.out for key in read_keys(file))
    gone = read_keys(file)[0].id
    assert bare("keys", "remove", gone, "--file", str(file)).code == 0
    assert listed(bare, file) == [("root", ["use", "admin"])]


def test_the_file_keeps_its_mode(bare: Seqserve, file: Path) -> None:
    bare("keys", "add", "alice", "--file", str(file))
    file.chmod(0o640)
    bare("keys", "add", "bob", "--file", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_what_cannot_be_done_says_what_to_do(bare: Seqserve, file: Path) -> None:
    ran = bare("keys", "list", "--file", str(file))
    assert (ran.code, "seqserve keys add" in ran.err) == (1, True)
    ran = bare("keys", "remove", "abcdefgh", "--file", str(file))
    assert (ran.code, "holds no key abcdefgh" in ran.err) == (1, True)
    assert not file.exists()
    for owner in ("", "a\nb", "x" * 129):
        assert bare("keys", "add", owner, "--file", str(file)).code == 2
    ran = bare("keys", "add", "alice", "--file", str(file.parent / "none" / "access.keys"))
    assert (ran.code, "cannot write" in ran.err) == (1, True)
    bare("keys", "add", "alice", "--file", str(file))
    file.chmod(0o644)
    before = file.read_text()
    ran = bare("keys", "add", "bob", "--file", str(file))
    assert (ran.code, "mode 0644" in ran.err, file.read_text()) == (1, True, before)


def test_the_commands_are_explained(bare: Seqserve) -> None:
    ran = bare("keys")
    assert ran.code == 0
    assert {"add", "list", "remove"} <= set(ran.out.split())


def test_keys_that_are_added_at_once_are_all_there(file: Path) -> None:
    arguments = ("keys", "add", "--file", str(file))
    running = [Process().start(*arguments, f"owner{number}") for number in range(4)]
    for one in running:
        one.communicate()
        assert one.returncode == 0
    assert sorted(key.owner for key in read_keys(file)) == [f"owner{number}" for number in range(4)]
