"""JSON Web Tokens as they come, and claims of any kind under a good signature."""

import json
from collections.abc import Iterator
from functools import cache

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from service.api.web_tokens import WebTokens, read_jwks
from service.config import AuthSettings
from service.errors import Unauthenticated
from tests.fakes.issuer import Issuer
from tests.fuzz.folders import new_folder
from tests.fuzz.target import Target, json_words

NOW = 4_000_000_000.0


@cache
def issuer() -> Issuer:
    """The same in every process."""
    issuer = Issuer(new_folder() / "jwks")
    issuer.private, issuer.kid = Ed25519PrivateKey.from_private_bytes(b"1" * 32), "one"
    public = OKPAlgorithm.to_jwk(issuer.private.public_key(), as_dict=True)
    issuer.publish([public | {"kid": issuer.kid, "use": "sig"}])
    return issuer


@cache
def tokens() -> WebTokens:
    return WebTokens(read_jwks(issuer().file), AuthSettings(**issuer().settings()), lambda: NOW)


def read(data: bytes) -> None:
    """A token; or, where it begins with a brace, claims that the issuer signs."""
    if not data.startswith(b"{"):
        tokens().caller(data.decode("utf-8", "surrogateescape"))
        assert data in given(), "a token was forged"
        return
    token = jwt.PyJWS().encode(
        data, issuer().private, algorithm=issuer().algorithm, headers={"kid": issuer().kid}
    )
    caller = tokens().caller(token)
    assert caller.owner
    assert caller.roles
    assert caller.good_until > 0


@cache
def given() -> tuple[bytes, ...]:
    return issuer().token(exp=NOW).encode(), issuer().token(exp=int(NOW), roles=["admin"]).encode()


def seeds() -> Iterator[bytes]:
    yield from given()
    yield json.dumps(issuer().claims(exp=int(NOW), roles=["admin"], nbf=1, iat=1)).encode()
    yield json.dumps(issuer().claims(exp=NOW, roles="use admin", aud=["seqserve"])).encode()


TARGET = Target(
    "web_tokens",
    read,
    seeds,
    refusals=(Unauthenticated,),
    max_bytes=1024,
    words=json_words("exp", "nbf", "iat", "aud", "iss", "sub", "roles", "kid", "alg", "crit", "jti"),
)
