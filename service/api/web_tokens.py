"""JSON Web Tokens (RFC 7519) of an issuer whose public keys lie in a file; with the care that RFC 8725 asks for.

No key is ever fetched, and none is taken from a token: `jku`, `x5u` and `jwk` in a header mean nothing here. The
algorithm is the key's own; a token that names another one is refused.
"""

import json
import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt

from service.api.callers import Caller, owner_named, roles_of
from service.config import AuthSettings
from service.errors import ConfigRefused, Unauthenticated

ALGORITHMS = frozenset({"RS256", "PS256", "ES256", "ES384", "EdDSA"})
MIN_RSA_BITS = 2048
MAX_FILE_BYTES = 256 * 1024
MAX_TOKEN_CHARS = 8192
MAX_REMEMBERED = 10_000
"""Tokens whose signature need not be checked again."""

REFUSALS: tuple[tuple[type[jwt.InvalidTokenError], str, str], ...] = (
    (jwt.ExpiredSignatureError, "expired", "its time is over"),
    (jwt.ImmatureSignatureError, "not_yet", "its time has not begun"),
    (jwt.InvalidAudienceError, "audience", "it is for somebody else than this server"),
    (jwt.InvalidIssuerError, "issuer", "its issuer is not the one of this server"),
    (
        jwt.MissingRequiredClaimError,
        "claims",
        "it lacks a claim: exp, iss, aud, or the one that names the owner",
    ),
    (jwt.InvalidAlgorithmError, "algorithm", "its algorithm is not that of the key"),
    (jwt.InvalidSignatureError, "signature", "its signature is not good"),
)
"""What the library raises → why, for machines and for people; the first that fits."""

Keys = Mapping[str, jwt.PyJWK]
"""Public keys by their `kid`; the only one of a file may have none."""


class WebTokens:
    """Reads tokens; each is verified once, and remembered for as long as it is good."""

    def __init__(self, keys: Keys, settings: AuthSettings, clock: Callable[[], float]) -> None:
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._verified: OrderedDict[bytes, Caller] = OrderedDict()

    def caller(self, token: str) -> Caller:
        """Whose token it is; Unauthenticated says why it is not good here."""
        if len(token) > MAX_TOKEN_CHARS:
            raise Unauthenticated("the token is too long", why="malformed")
        digest = sha256(token.encode("utf-8", "replace")).digest()
        known = self._verified.get(digest)
        if known is None or known.good_until <= self._clock():
            self._verified.pop(digest, None)
            known = self._verified[digest] = self._read(token)
            if len(self._verified) > MAX_REMEMBERED:
                self._verified.popitem(last=False)
        return known

    def _read(self, token: str) -> Caller:
        settings = self._settings
        claims = self._claims(token)
        owner = owner_named(claims[settings.jwt_owner_claim], f"the token's {settings.jwt_owner_claim}")
        listed = claims.get(settings.jwt_roles_claim, ())
        names = listed.split() if isinstance(listed, str) else listed if isinstance(listed, list) else ()
        return Caller(owner, roles_of(names), float(claims["exp"]) + settings.jwt_leeway_s)

    def _claims(self, token: str) -> dict[str, Any]:
        settings = self._settings
        try:
            key = self._key_of(jwt.get_unverified_header(token))
            return jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=settings.jwt_audience,
                issuer=settings.jwt_issuer,
                leeway=settings.jwt_leeway_s,
                options={"require": ["exp", "iss", "aud", settings.jwt_owner_claim]},
            )
        except jwt.InvalidTokenError as error:
            why, words = next(
                ((why, words) for kind, why, words in REFUSALS if isinstance(error, kind)),
                ("malformed", "it is malformed"),
            )
            raise Unauthenticated(f"the token is not good here: {words}", why=why) from None
        except (ValueError, TypeError, RecursionError):
            raise Unauthenticated("the token is not good here: it is malformed", why="malformed") from None

    def _key_of(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        if "crit" in header:  # extensions that have to be understood; none is
            raise Unauthenticated("the token is not good here: it asks for extensions", why="malformed")
        kid = header.get("kid")
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        if not isinstance(kid, str) or kid not in self._keys:
            raise Unauthenticated("the token is not good here: it names no key that is known", why="key")
        return self._keys[kid]


def read_jwks(path: Path) -> Keys:
    """The public keys of a JSON Web Key Set, which others must not be able to write; ConfigRefused."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            listed = list(json.loads(file.read(MAX_FILE_BYTES))["keys"])
    except OSError as error:
        raise ConfigRefused(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ConfigRefused(f"{path} is no JSON Web Key Set") from None
    if mode & stat.S_IWOTH:
        raise ConfigRefused(f"{path} has mode {mode:04o}: anybody may put his own key there")
    keys = {str(one.get("kid", "")): _public_key(path, one) for one in listed if _signs(path, one)}
    if not keys or len(keys) < sum(_signs(path, one) for one in listed):
        raise ConfigRefused(f"{path}: wants one key or more, each with a kid of its own")
    return keys


def _signs(path: Path, key: Any) -> bool:
    """Keys for encryption stand in such files, too."""
    if not isinstance(key, dict):
        raise ConfigRefused(f"{path} is no JSON Web Key Set")
    return bool(key.get("use", "sig") == "sig")


def _public_key(path: Path, key: Mapping[str, Any]) -> jwt.PyJWK:
    where = f"{path}: key {str(key.get('kid', ''))!r}"
    if "d" in key or key.get("kty") == "oct":
        raise ConfigRefused(f"{where} is a secret; only public keys belong there")
    try:
        found = jwt.PyJWK(dict(key))
    except (jwt.PyJWTError, ValueError, TypeError):
        raise ConfigRefused(f"{where} is no public key that can be used") from None
    if found.algorithm_name not in ALGORITHMS:
        raise ConfigRefused(
            f"{where} is for {found.algorithm_name}; taken are {', '.join(sorted(ALGORITHMS))}"
        )
    if getattr(found.key, "key_size", MIN_RSA_BITS) < MIN_RSA_BITS and key.get("kty") == "RSA":
        raise ConfigRefused(f"{where} has {found.key.key_size} bits; RSA needs {MIN_RSA_BITS}")
    return found
