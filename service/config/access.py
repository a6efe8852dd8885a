"""Settings of who gets in: TLS on the port, and credentials of callers."""

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from service.config.piece import Piece


class TlsSettings(Piece):
    """TLS on the port. The files are looked at again at each new connection, and taken up when they have changed."""

    cert_file: Path | None = None
    """The server's certificate and those between it and its authority, in PEM; without it the port has no TLS."""
    key_file: Path | None = None
    """The key of cert_file, in PEM without a passphrase; only its owner (and group) may read it."""
    client_ca_file: Path | None = None
    """Authorities of which clients have to show a certificate (mutual TLS); its subject is then the owner."""


class AuthSettings(Piece):
    """Who a caller is. Where one of these is set, a call without credentials is refused."""

    access_keys_file: Path | None = None
    """Keys of owners, hashed, as `seqserve keys` writes them."""
    jwks_file: Path | None = None
    """Public keys (JSON Web Key Set, RFC 7517) of those whose JSON Web Tokens are taken."""
    jwt_issuer: str = ""
    """What `iss` of a token must be; needed with jwks_file."""
    jwt_audience: str = ""
    """What `aud` of a token must be, or hold; needed with jwks_file."""
    jwt_leeway_s: float = Field(30.0, ge=0, le=600)
    """How far the issuer's clock may be from this one's."""
    jwt_owner_claim: str = Field("sub", min_length=1)
    """The claim that names the owner."""
    jwt_roles_claim: str = Field("roles", min_length=1)
    """The claim that lists roles: `admin` is the only one that has to be named."""
    admins: tuple[str, ...] = ()
    """Owners who have the role admin however they prove who they are; separated by commas in the environment."""
    reload_s: float = Field(5.0, ge=0.1, le=3600)
    """How often the files are looked at for changes."""

    @field_validator("admins", mode="before")
    @classmethod
    def _one_by_one(cls, value: Any) -> Any:
        return (
            [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value
        )
