"""Somebody who issues tokens, and publishes his keys in a file."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

NAME, AUDIENCE = "https://issuer.test", "seqserve"

ALGORITHMS: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


def new_private(algorithm: str, bits: int = 2048) -> Any:
    if algorithm == "RS256":
        return rsa.generate_private_key(65537, bits)
    return (
        ec.generate_private_key(ec.SECP256R1())
        if algorithm == "ES256"
        else ed25519.Ed25519PrivateKey.generate()
    )


class Issuer:
    """One key at a time; `rotate` makes a new one and keeps the old ones in the file."""

    def __init__(self, file: Path, algorithm: str = "EdDSA") -> None:
        self.file = file
        self.algorithm = algorithm
        self._published: list[dict[str, Any]] = []
        self.rotate()

    def rotate(self, *, forget: bool = False) -> None:
        self.private = new_private(self.algorithm)
        self.kid = f"k{time.monotonic_ns()}"
        jwk: dict[str, Any] = ALGORITHMS[self.algorithm].to_jwk(self.private.public_key(), as_dict=True)
        self._published = ([] if forget else self._published) + [jwk | {"kid": self.kid, "use": "sig"}]
        self.publish(self._published)

    def publish(self, keys: Sequence[Any]) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(json.dumps({"keys": keys}))
        fresh.replace(self.file)

    @property
    def published(self) -> list[dict[str, Any]]:
        return self._published

    def claims(self, owner: str = "alice", **other: Any) -> dict[str, Any]:
        claims = {"sub": owner, "iss": NAME, "aud": AUDIENCE, "exp": time.time() + 300} | other
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, owner: str = "alice", headers: dict[str, Any] | None = None, **other: Any) -> str:
        """A good token; a claim that is None is left out."""
        headers = {"kid": self.kid} | (headers or {})
        claims = json.dumps(
            self.claims(owner, **other)
        ).encode()  # whatever they are: the library would object
        return jwt.PyJWS().encode(claims, self.private, algorithm=self.algorithm, headers=headers)

    def settings(self) -> dict[str, Any]:
        return {"jwks_file": str(self.file), "jwt_issuer": NAME, "jwt_audience": AUDIENCE, "jwt_leeway_s": 5}
