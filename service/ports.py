"""Ports: whether one can be had, and one that is held for several processes."""

import errno
import socket
from contextlib import suppress

from service.errors import ConfigRefused

_ADVICE = {
    errno.EADDRINUSE: "another server may run there: stop it, or choose another {setting}, such as {flag} {next}"
    " (by make: ARGS='{flag} {next}')",
    errno.EACCES: "low ports belong to root: choose another {setting}, from 1024 on",
}


def check_free(host: str, port: int, setting: str) -> None:
    """Raise ConfigRefused where the port cannot be had. The system says why, gRPC does not."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]
        flag, beside = f"--{setting.replace('_', '-')}", port + 1 if port < 65535 else port - 1
        advice = _ADVICE.get(error.errno or 0, "choose another host")
        advice = advice.format(setting=setting, flag=flag, next=beside)
        raise ConfigRefused(f"cannot listen on {host}:{port}: {reason}; {advice}") from None


def reserve(host: str, port: int) -> socket.socket:
    """Hold a port (0: any) that processes of this user listen on together; no connection comes here itself.

    ConfigRefused where somebody listens there. Whoever looks whether the port is free finds it taken from now on.
    """
    check_free(host, port, "port")
    try:
        return _held(host, port, after_others=False)
    except OSError:  # connections of a server that has just gone are remembered for a minute
        return _held(host, port, after_others=True)


def _held(host: str, port: int, *, after_others: bool) -> socket.socket:
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    held = socket.socket(family, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if after_others:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            with suppress(OSError):
                held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        held.bind(address)
    except BaseException:
        held.close()
        raise
    return held
