"""Files of keys: those that seal snapshots, those of callers, and those of an issuer of tokens."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from service.api.access_keys import AccessKeys, new_key, read_keys, to_toml
from service.api.web_tokens import ALGORITHMS, read_jwks
from service.errors import ConfigRefused, Unauthenticated
from service.sessions.seal import Keyring
from tests.fakes.issuer import Issuer
from tests.fuzz.folders import new_folder, put
from tests.fuzz.target import Target, json_words

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GIVEN, KNOWN = new_key("alice", admin=True, expires=None, now=NOW)


@cache
def file() -> Path:
    return new_folder() / "keys"


def read_snapshot_keys(data: bytes) -> None:
    ring = Keyring.from_file(put(file(), data))
    sealed = ring.seal(b"x", purpose="ticket", owner="")
    assert ring.open(sealed, purpose="ticket", owner="") == b"x"


def read_access_keys(data: bytes) -> None:
    keys = read_keys(put(file(), data))
    assert read_keys(put(file(), to_toml(keys).encode())) == keys
    try:
        caller = AccessKeys(keys).caller(GIVEN, NOW)
    except Unauthenticated:
        return
    assert caller.owner


def read_key_set(data: bytes) -> None:
    for key in read_jwks(put(file(), data)).values():
        assert key.algorithm_name in ALGORITHMS


def snapshot_keys() -> Iterator[bytes]:
    yield b"# keys\none:" + b"MTEx" * 10 + b"MTE=\n\ntwo:" + b"MjIy" * 10 + b"MjI=\n"


def access_keys() -> Iterator[bytes]:
    yield to_toml([KNOWN, new_key("bob", admin=False, expires=NOW, now=NOW)[1]]).encode()


@cache
def key_sets() -> tuple[bytes, ...]:
    """Made once: a key of RSA takes a while."""
    issuers = [Issuer(new_folder() / "jwks", algorithm) for algorithm in ("EdDSA", "ES256", "RS256")]
    return tuple(json.dumps({"keys": issuer.published}).encode() for issuer in issuers)


SNAPSHOT_KEYS = Target(
    "snapshot_keys", read_snapshot_keys, snapshot_keys, refusals=(ConfigRefused,), max_bytes=512
)
ACCESS_KEYS = Target(
    "access_keys",
    read_access_keys,
    access_keys,
    refusals=(ConfigRefused,),
    max_bytes=1024,
    words=(
        b"1979-05-27T07:32:00-23:59",
        b"0001-01-01T00:00:00+23:59",
        b"9999-12-31T23:59:59.999999-23:59",
        b"[[key]]",
    ),
)
KEY_SETS = Target(
    "key_sets",
    read_key_set,
    key_sets,
    refusals=(ConfigRefused,),
    words=json_words("kid", "kty", "alg", "use", "crv", "x", "y", "n", "e", "d", "k", "keys"),
)
