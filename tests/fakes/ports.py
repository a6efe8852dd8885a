"""Ports for programs that are told theirs before they listen."""

import secrets
import socket
from contextlib import suppress

LOWEST, NUM = 10_000, 12_000
ABOVE = 10_000
"""Nodes of a Redis cluster talk to each other so much higher."""


def free_port() -> int:
    """One that nobody has, nor gets by chance before it is listened on.

    It lies below those that systems give to whoever asks for any, and to connections (from 32768 on).
    """
    while True:
        port = LOWEST + secrets.randbelow(NUM)
        with socket.socket() as one, socket.socket() as other, suppress(OSError):
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + ABOVE))
            return port
