"""Owners by their certificates (mutual TLS)."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from cryptography import x509

from service.api.callers import USER, Caller, owner_named
from service.errors import Unauthenticated

MAX_REMEMBERED = 10_000

PEM, NAMES, COMMON_NAMES = "x509_pem_cert", "peer_uri", "x509_common_name"
"""What gRPC calls the parts of a certificate that it has verified."""


class CertificateOwners:
    """The owner is the one URI of the certificate (a SPIFFE id), or else its common name."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Caller] = OrderedDict()

    def caller(self, verified: Mapping[str, Sequence[bytes]]) -> Caller | None:
        """Who shows this certificate, until its time is over; None where none was shown."""
        [pem, *_] = verified.get(PEM) or [b""]
        if not pem:
            return None
        known = self._known.get(pem)
        if known is None:
            known = self._known[pem] = _read(pem, verified)
            if len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
        return known


def _read(pem: bytes, verified: Mapping[str, Sequence[bytes]]) -> Caller:
    uris, names = (list(filter(None, verified.get(kind) or ())) for kind in (NAMES, COMMON_NAMES))
    found = uris if len(uris) == 1 else names
    if len(found) != 1:
        raise Unauthenticated(
            "the certificate names no owner: one URI or one common name is expected", why="certificate"
        )
    end = x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
    return Caller(owner_named(found[0].decode("utf-8", "replace"), "the certificate"), USER, end)
