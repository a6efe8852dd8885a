import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.api.access_keys import AccessKey, AccessKeys, hashed, new_key, read_keys, to_toml
from service.api.callers import ADMIN, USER
from service.errors import ConfigRefused, Unauthenticated

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def made(
    owner: str = "alice", *, admin: bool = False, expires: datetime | None = None
) -> tuple[str, AccessKey]:
    return new_key(owner, admin=admin, expires=expires, now=NOW)


def why(keys: AccessKeys, key: str, now: datetime = NOW) -> str:
    with pytest.raises(Unauthenticated) as error:
        keys.caller(key, now)
    assert not key or key not in str(error.value)
    return error.value.metadata["why"]


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_key_is_its_owners_and_gives_his_roles() -> None:
    (alice, known), (root, known_root) = made(), made("root", admin=True)
    keys = AccessKeys([known, known_root])
    assert (keys.caller(alice, NOW).owner, keys.caller(alice, NOW).roles) == ("alice", USER)
    assert (keys.caller(root, NOW).owner, keys.caller(root, NOW).roles) == ("root", ADMIN)


def test_no_other_key_is_taken() -> None:
    key, known = made()
    stranger, _ = made()
    keys = AccessKeys([known])
    prefix, key_id, secret = key.split("_", 2)
    for wrong in (
        stranger,
        "",
        key[:-1],
        key + "A",
        f"{key} ",
        f"{prefix}_{key_id}_{stranger.split('_', 2)[2]}",
        f"{prefix}_{stranger.split('_', 2)[1]}_{secret}",
        known.sha256,
        f"sqk_{known.id}_{known.sha256}",
        key.upper(),
        f"{key}\0",
        f"{key[:-1]}é",
    ):
        assert why(keys, wrong) == "unknown_key", wrong


def test_a_key_is_good_until_its_time_is_over() -> None:
    key, known = made(expires=NOW + HOUR)
    keys = AccessKeys([known])
    assert keys.caller(key, NOW).good_until == (NOW + HOUR).timestamp()
    assert why(keys, key, NOW + HOUR) == "expired_key"


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    owners = ("alice", "Žofie Ž", 'quote " and \\ slash', "spiffe://here/bob", "😀")
    known = [made(owner, admin=owner == "alice", expires=NOW + HOUR)[1] for owner in owners]
    assert read_keys(written(tmp_path / "k", to_toml(known))) == known
    assert read_keys(written(tmp_path / "none", to_toml([]))) == []


def test_the_file_holds_no_key() -> None:
    key, known = made()
    secret = key.split("_", 2)[2]
    assert secret not in to_toml([known])
    assert known.sha256 not in repr(known)
    assert known.sha256 == hashed(key)


def test_a_time_without_a_zone_is_taken_for_utc(tmp_path: Path) -> None:
    _, known = made(expires=NOW + HOUR)
    text = to_toml([known]).replace("04:00:00Z", "04:00:00")
    [read] = read_keys(written(tmp_path / "k", text))
    assert read.expires == NOW + HOUR


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "2026-01-01T01:02:03.000004+05:30"])
def test_times_that_somebody_wrote_by_hand_are_kept_as_they_are(tmp_path: Path, moment: str) -> None:
    _, known = made()
    text = re.sub("created = .*", f"created = {moment}\nexpires = {moment}", to_toml([known]))
    [read] = read_keys(written(tmp_path / "k", text))
    assert read.created == read.expires == datetime.fromisoformat(moment)
    assert read_keys(written(tmp_path / "again", to_toml([read]))) == [read]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "{",
        lambda text: "\udc80".encode("utf-8", "surrogatepass").decode("latin-1") + text,
        lambda text: text + text,
        lambda text: text.replace('roles = ["use"]', 'roles = ["root"]'),
        lambda text: text.replace("owner = ", "user = "),
        lambda text: text + "\n[other]\n",
        lambda text: "key = 3",
        lambda text: "key = [3]",
        lambda text: text.replace('sha256 = "', 'sha256 = "zz'),
        lambda text: re.sub("created = .*", "created = 9999-12-31T23:59:59-23:59", text),
        lambda text: re.sub("created = .*", "created = 0001-01-01T00:00:00+23:59", text),
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_refused_without_a_hash_in_the_message(
    tmp_path: Path, damage: object
) -> None:
    _, known = made()
    assert callable(damage)
    with pytest.raises(ConfigRefused) as error:
        read_keys(written(tmp_path / "k", damage(to_toml([known]))))
    assert known.sha256[:8] not in str(error.value)


@pytest.mark.parametrize("mode", [0o644, 0o640 | 0o004, 0o660])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigRefused, match="mode"):
        read_keys(written(tmp_path / "k", to_toml([]), mode))
