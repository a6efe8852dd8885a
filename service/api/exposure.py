"""What a server must not do by accident: speak without TLS, or let strangers in, where other machines can reach it."""

import ipaddress
import socket
from collections.abc import Iterator

from service.config import Settings
from service.errors import ConfigRefused


def check_exposure(settings: Settings) -> None:
    """ConfigRefused where the settings open more than they say; it names the flag that means each."""
    found = list(complaints(settings))
    if found:
        raise ConfigRefused("; ".join(found))


def complaints(settings: Settings) -> Iterator[str]:
    """What is open without a setting that means it."""
    server = settings.server
    if is_local(server.host):
        return
    where = f"{server.host} can be reached from other machines, and "
    if not settings.tls.cert_file and not server.allow_plaintext:
        yield (
            f"{where}the port has no TLS: set tls.cert_file and tls.key_file (--tls-cert, --tls-key), "
            "or say that it is meant with server.allow_plaintext (--allow-plaintext)"
        )
    if authenticates(settings):
        return
    if not server.allow_anonymous:
        yield (
            f"{where}callers need no credentials: set auth.access_keys_file (--access-keys), auth.jwks_file or "
            "tls.client_ca_file (--tls-client-ca), "
            "or say that it is meant with server.allow_anonymous (--allow-anonymous)"
        )
    if server.admin and not server.allow_open_admin:
        yield (
            f"{where}everybody may load and unload models: leave server.admin off, or let callers show credentials, "
            "or say that it is meant with server.allow_open_admin (--allow-open-admin)"
        )


def authenticates(settings: Settings) -> bool:
    """Whether callers have to show who they are. That a header is trusted is no proof of it."""
    auth = settings.auth
    return any((settings.tls.client_ca_file, auth.access_keys_file, auth.jwks_file))


def is_local(host: str) -> bool:
    """Whether only this machine can reach the address; a name is so when all that it stands for is."""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host or None, None, flags=socket.AI_PASSIVE)}
    except OSError:
        return False
    return all(_is_loopback(str(address)) for address in found)


def _is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback
