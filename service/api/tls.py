"""TLS on the port: certificates from files, which are taken up anew when they change while the server runs."""

import ssl
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from service.api.watched import Watched
from service.config import TlsSettings
from service.errors import ConfigRefused
from service.keyfiles import read_secret

MAX_CHAIN_BYTES = 1024 * 1024


class Certificates:
    """What the port shows, and whose certificates it takes.

    The files are looked at at each handshake. What does not fit (half written, another key, out of date) is left alone,
    with a line in the log, and what was good before is shown on.
    """

    def __init__(self, settings: TlsSettings) -> None:
        """Read the files; ConfigRefused says what is wrong with them."""
        if not settings.cert_file or not settings.key_file:
            raise ConfigRefused("TLS needs both: tls.cert_file and tls.key_file")
        self._cert_file, self._key_file = settings.cert_file, settings.key_file
        self._ca_file = settings.client_ca_file
        files = [file for file in (self._cert_file, self._key_file, self._ca_file) if file]
        self._watched = Watched("certificates", files, self._read)
        self._shown = 0
        """The generation that gRPC has."""
        self._context: ssl.SSLContext | None = None
        self._context_of = -1

    @property
    def expires_at(self) -> float:
        """When the certificate that is shown ends (wall clock)."""
        return self._watched.value[1]

    def credentials(self) -> grpc.ServerCredentials:
        """For the port: gRPC asks for changes at each handshake, from a thread of its own."""
        fetch: Any = self.changed  # may answer None for "as before", whatever the stubs say
        wants_certificate = self._ca_file is not None
        return grpc.dynamic_ssl_server_credentials(self._watched.value[0], fetch, wants_certificate)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """The files as they are now, where they have changed and are good; None otherwise. Raises nothing."""
        self._watched.look()
        before, self._shown = self._shown, self._watched.generation
        return self._watched.value[0] if self._shown != before else None

    def context(self) -> ssl.SSLContext:
        """For sockets that are not gRPC's: what the files say now, or what they said when they were good."""
        self._watched.look()
        generation = self._watched.generation
        if self._context is None or generation != self._context_of:
            try:
                self._context, self._context_of = self._new_context(), generation
            except OSError:  # changed again since they were looked at
                if self._context is None:
                    raise
        return self._context

    def trouble(self) -> str:
        """Why the files are left alone, or that what is shown is out of date; empty where all is well."""
        self._watched.look()
        is_over = self.expires_at <= time.time()
        return self._watched.trouble or (f"{self._cert_file} is out of date" if is_over else "")

    def _new_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._cert_file, self._key_file, password="")  # none is asked for
        if self._ca_file:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self._ca_file)
        return context

    def _read(self) -> tuple[grpc.ServerCertificateConfiguration, float]:
        chain = _read_public(self._cert_file)
        key = read_secret(self._key_file, "key file")
        expires_at = check_pair(chain, key, self._cert_file, self._key_file)
        authorities = _read_public(self._ca_file) if self._ca_file else None
        if self._ca_file and authorities is not None:
            _certificates(authorities, self._ca_file)
        pair = [(key, chain)]
        return grpc.ssl_server_certificate_configuration(pair, root_certificates=authorities), expires_at


def certificates(settings: TlsSettings) -> Certificates | None:
    """What the settings say; None where they say nothing of TLS."""
    given = settings.cert_file, settings.key_file, settings.client_ca_file
    return Certificates(settings) if any(given) else None


def check_pair(chain: bytes, key: bytes, cert_file: Path, key_file: Path) -> float:
    """When the first certificate ends (wall clock); ConfigRefused where the two are no pair, or the time is over."""
    certificate = _certificates(chain, cert_file)[0]
    try:
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError, NotImplementedError):
        raise ConfigRefused(f"{key_file} holds no key in PEM, or one with a passphrase") from None
    if _public(private) != _public(certificate):
        raise ConfigRefused(f"{key_file} is not the key of {cert_file}")
    end = certificate.not_valid_after_utc
    if end <= datetime.now(UTC):
        raise ConfigRefused(f"{cert_file} is out of date since {end:%Y-%m-%d %H:%M} UTC")
    return end.timestamp()


def _certificates(chain: bytes, file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(chain)
    except ValueError:
        raise ConfigRefused(f"{file} holds no certificate in PEM") from None


def _public(holder: object) -> bytes:
    key = holder.public_key()  # type: ignore[attr-defined]  # a certificate or any kind of private key
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _read_public(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_CHAIN_BYTES)
    except OSError as error:
        raise ConfigRefused(f"cannot read {path}: {error.strerror}") from None
