"""Tokens: which are taken, and that no trick gets one in."""

import base64
import hmac
import json
import time
from datetime import datetime, tzinfo
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.api import web_tokens
from service.api.callers import ADMIN, USER
from service.api.web_tokens import WebTokens, read_jwks
from service.config import AuthSettings
from service.errors import ConfigRefused, Unauthenticated
from tests.fakes.issuer import ALGORITHMS, Issuer, new_private


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path / "jwks.json")


def tokens_of(issuer: Issuer, **other: Any) -> WebTokens:
    settings = AuthSettings.model_validate(issuer.settings() | other)
    return WebTokens(read_jwks(issuer.file), settings, time.time)


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """It is the library's, too, which has one of its own."""
    clock = Clock()

    class Shown(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Shown":
            return cls.fromtimestamp(clock.now, tz)

    monkeypatch.setattr("jwt.api_jwt.datetime", Shown)
    return clock


def why(tokens: WebTokens, token: str) -> str:
    with pytest.raises(Unauthenticated) as error:
        tokens.caller(token)
    assert not token or token not in str(error.value)
    return error.value.metadata["why"]


def part(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_of_the_issuer_is_its_owners(tmp_path: Path, algorithm: str) -> None:
    issuer = Issuer(tmp_path / "jwks.json", algorithm)
    end = time.time() + 300
    caller = tokens_of(issuer).caller(issuer.token("alice", exp=end))
    assert (caller.owner, caller.roles) == ("alice", USER)
    assert caller.good_until == end + 5  # the leeway


@pytest.mark.parametrize("roles", [["use", "admin"], "use admin", ["admin"]])
def test_roles_come_from_a_claim(issuer: Issuer, roles: object) -> None:
    assert tokens_of(issuer).caller(issuer.token(roles=roles)).roles == ADMIN


@pytest.mark.parametrize(
    "roles", [["administrator"], "useadmin", {"admin": True}, [["admin"]], 7, True, "ADMIN"]
)
def test_what_only_looks_like_a_role_is_none(issuer: Issuer, roles: object) -> None:
    assert tokens_of(issuer).caller(issuer.token(roles=roles)).roles == USER


def test_owner_and_roles_may_stand_in_other_claims(issuer: Issuer) -> None:
    tokens = tokens_of(issuer, jwt_owner_claim="email", jwt_roles_claim="groups")
    caller = tokens.caller(issuer.token("ignored", email="a@b.test", groups=["admin"], roles=[]))
    assert (caller.owner, caller.roles) == ("a@b.test", ADMIN)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": time.time() - 60}, "expired"),
        ({"exp": None}, "claims"),
        ({"exp": "tomorrow"}, "malformed"),
        ({"nbf": time.time() + 86_400}, "not_yet"),
        ({"iat": time.time() + 86_400}, "not_yet"),
        ({"aud": "another"}, "audience"),
        ({"aud": ["another", "seqserve "]}, "audience"),
        ({"aud": None}, "claims"),
        ({"aud": {"seqserve": 1}}, "audience"),
        ({"iss": "https://issuer.test/"}, "issuer"),
        ({"iss": None}, "claims"),
        ({"iss": ["https://issuer.test"]}, "issuer"),
        ({"sub": ""}, "owner"),
        ({"sub": None}, "claims"),
        ({"sub": "x" * 129}, "owner"),
        ({"sub": "al\nice"}, "owner"),
    ],
)
def test_a_token_with_other_claims_is_refused(issuer: Issuer, claims: dict[str, Any], expected: str) -> None:
    assert why(tokens_of(issuer), issuer.token(**claims)) == expected


def test_a_clock_that_is_a_little_off_is_forgiven(issuer: Issuer, clock: Clock) -> None:
    tokens = tokens_of(issuer)
    assert tokens.caller(issuer.token(exp=clock.now - 3, nbf=clock.now + 3)).owner == "alice"


def test_a_token_without_a_signature_or_with_another_ones_is_refused(issuer: Issuer, tmp_path: Path) -> None:
    tokens, claims = tokens_of(issuer), issuer.claims()
    head, body, signature = issuer.token().split(".")
    other = Issuer(tmp_path / "other.json")
    changed = part(claims | {"sub": "root"})
    for token, expected in (
        (jwt.encode(claims, "", algorithm="none"), "signature"),
        (jwt.encode(claims, "", algorithm="none", headers={"kid": issuer.kid}), "algorithm"),
        (f"{head}.{body}.", "signature"),
        (f"{head}.{changed}.{signature}", "signature"),
        (f"{head}.{body}.{signature[:-4]}AAAA", "signature"),
        (other.token(headers={"kid": issuer.kid}), "signature"),
        (other.token(), "key"),
        *(
            (f"{part({'alg': alg, 'kid': issuer.kid})}.{body}.", "algorithm")
            for alg in ("none", "None", "nOnE")
        ),
    ):
        assert why(tokens, token) in (expected, "algorithm"), token


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_public_key_is_not_taken_for_a_secret(tmp_path: Path, algorithm: str) -> None:
    """The attack on libraries that let the token choose: HS256, with the public key as the secret."""
    issuer = Issuer(tmp_path / "jwks.json", algorithm)
    public = issuer.private.public_key()
    for encoding in (Encoding.PEM, Encoding.DER):
        secret = public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
        text = f"{part({'alg': 'HS256', 'kid': issuer.kid})}.{part(issuer.claims('root'))}"
        forged = f"{text}.{part(hmac.digest(secret, text.encode(), sha256))}"
        assert why(tokens_of(issuer), forged) == "algorithm"


def test_a_key_that_the_token_brings_along_means_nothing(issuer: Issuer) -> None:
    own = new_private("EdDSA")
    jwk = ALGORITHMS["EdDSA"].to_jwk(own.public_key(), as_dict=True)
    for header in (
        {"jwk": jwk},
        {"jwk": jwk, "kid": issuer.kid},
        {"jku": "https://attacker.test/jwks.json", "kid": "new"},
        {"x5u": "https://attacker.test/", "kid": issuer.kid},
        {"kid": "../../../../dev/null"},
        {"kid": "' OR 1=1 --"},
        {"kid": ""},
    ):
        token = jwt.encode(issuer.claims("root"), own, algorithm="EdDSA", headers=header)
        assert why(tokens_of(issuer), token) in ("signature", "key"), header


def test_a_token_that_asks_for_extensions_is_refused(issuer: Issuer) -> None:
    for crit in (["b64"], ["exp"], [], "b64"):
        head = part({"alg": "EdDSA", "kid": issuer.kid, "crit": crit, "b64": False})
        body = part(issuer.claims())
        signed = f"{head}.{body}"
        token = f"{signed}.{part(issuer.private.sign(signed.encode()))}"
        assert why(tokens_of(issuer), token) == "malformed"


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "é.é.é",
        "e30.e30.e30",
        "x" * 8193,
        f"{part([])}.{part({})}.",
        f"{part({'alg': 'EdDSA', 'kid': 7})}.{part({})}.",
        f"{part(b'[' * 5000)}.{part({})}.",
        f"{part({'alg': ['EdDSA']})}.{part({})}.",
        f"{part(None)}.{part(None)}.",
        "\udcff.\udcff.\udcff",
    ],
)
def test_what_is_no_token_is_refused(issuer: Issuer, token: str) -> None:
    assert why(tokens_of(issuer), token) in ("malformed", "algorithm", "signature", "key")


def test_claims_that_are_nested_without_end_are_refused(issuer: Issuer) -> None:
    head = part({"alg": "EdDSA", "kid": issuer.kid})
    signed = f"{head}.{part(b'[' * 4000)}"
    assert why(tokens_of(issuer), f"{signed}.{part(issuer.private.sign(signed.encode()))}") == "malformed"


def test_a_token_is_verified_once_and_not_taken_longer_than_it_is_good(issuer: Issuer, clock: Clock) -> None:
    settings = AuthSettings.model_validate(issuer.settings())
    tokens = WebTokens(read_jwks(issuer.file), settings, clock)
    token = issuer.token(
        exp=clock.now - 3
    )  # the library counts in whole seconds; with the leeway, it is good
    first = tokens.caller(token)
    assert tokens.caller(token) is first
    clock.now += 3
    assert why(tokens, token) == "expired"


def test_tokens_without_number_take_bounded_memory(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_tokens, "MAX_REMEMBERED", 3)
    tokens = tokens_of(issuer)
    shown = [issuer.token(f"owner-{number}") for number in range(5)]
    first, *_, last = [tokens.caller(token) for token in shown]
    assert tokens.caller(shown[-1]) is last
    assert tokens.caller(shown[0]) is not first, "the oldest is forgotten, and verified again"
    assert tokens.caller(shown[0]).owner == "owner-0"


def test_a_set_with_a_key_that_cannot_be_trusted_is_refused(issuer: Issuer) -> None:
    good = issuer.published[0]
    weak = ALGORITHMS["RS256"].to_jwk(new_private("RS256", 1024).public_key(), as_dict=True)
    secret = ALGORITHMS["EdDSA"].to_jwk(new_private("EdDSA"), as_dict=True)
    for keys, says in (
        ([], "wants one key"),
        ([good, good], "wants one key"),
        ([{"kty": "oct", "k": "c2VjcmV0", "kid": "x"}], "is a secret"),
        ([secret | {"kid": "x"}], "is a secret"),
        ([weak | {"kid": "x"}], "1024 bits"),
        ([good | {"alg": "HS256"}], "no public key|is for HS256"),
        ([good | {"x": "AAAA"}], "no public key"),
        ([{"kty": "RSA"}], "no public key"),
        ([7], "no JSON Web Key Set"),
    ):
        issuer.publish(keys)
        with pytest.raises(ConfigRefused, match=says):
            read_jwks(issuer.file)


def test_keys_for_encryption_are_left_alone(issuer: Issuer) -> None:
    issuer.publish([*issuer.published, {"kty": "RSA", "use": "enc", "kid": "e"}])
    assert list(read_jwks(issuer.file)) == [issuer.kid]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": 3}', "[" * 100_000, "\0"])
def test_what_is_no_set_of_keys_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(text)
    with pytest.raises(ConfigRefused):
        read_jwks(file)


def test_a_set_that_anybody_can_write_is_refused(issuer: Issuer) -> None:
    issuer.file.chmod(0o666)
    with pytest.raises(ConfigRefused, match="0666"):
        read_jwks(issuer.file)
