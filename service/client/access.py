"""How a client gets in: TLS, and what shows who it is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc

from service.client.errors import InvalidRequest
from service.client.headers import Headers

MAX_TOKEN_BYTES = 16 * 1024


@dataclass(frozen=True)
class Tls:
    """TLS to the server; without a file of authorities the system's are trusted."""

    ca_file: Path | str | None = None
    """Authorities that the server's certificate is checked against, in PEM."""
    cert_file: Path | str | None = None
    """This client's own certificate (mutual TLS), in PEM, and its key."""
    key_file: Path | str | None = None
    server_name: str = ""
    """The name that stands in the server's certificate, where it is not the address."""

    def credentials(self) -> grpc.ChannelCredentials:
        """For a channel; InvalidRequest where a file cannot be read."""
        if bool(self.cert_file) != bool(self.key_file):
            raise InvalidRequest("a client's certificate needs its key, and the other way round")
        return grpc.ssl_channel_credentials(
            _bytes(self.ca_file), _bytes(self.key_file), _bytes(self.cert_file)
        )

    def options(self) -> list[tuple[str, str | int]]:
        return [("grpc.ssl_target_name_override", self.server_name)] if self.server_name else []


@dataclass(frozen=True)
class Access:
    """TLS or none, and a token or none; the same for every server of a client."""

    tls: Tls | None = None
    token: str | Path | None = None
    """The token or access key itself, or the file that holds it, which is read again for every call."""

    def __repr__(self) -> str:
        return f"Access(tls={self.tls}, token={'(hidden)' if self.token else None})"

    def check(self, addresses: tuple[str, ...], is_local: Callable[[str], bool]) -> None:
        """InvalidRequest where a token would travel so that others could read it, or cannot be read."""
        if self.token is None:
            return
        self._header()
        if self.tls is None and not all(map(is_local, addresses)):
            raise InvalidRequest("a token goes to other machines by TLS only: give tls=True")

    def headers(self) -> Headers:
        """What each call carries."""
        return () if self.token is None else (self._header(),)

    def _header(self) -> tuple[str, str]:
        token = self.token
        if isinstance(token, Path):
            token = (_bytes(token) or b"")[:MAX_TOKEN_BYTES].decode("ascii", "replace").strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise InvalidRequest("the token is empty, or not one word of printable ASCII")
        return "authorization", f"Bearer {token}"


def access(tls: "bool | Tls", token: str | Path | None) -> Access:
    """What a client was given, put together."""
    return Access((Tls() if tls is True else tls) or None, token)


def _bytes(file: Path | str | None) -> bytes | None:
    if file is None:
        return None
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InvalidRequest(f"cannot read {file}: {error.strerror}") from None
