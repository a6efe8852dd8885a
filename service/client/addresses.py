"""Several servers behind one client: which one is spoken to, and which one next."""

import secrets
import zlib
from collections.abc import Sequence
from typing import Generic, TypeVar

from service.client import channel
from service.client.errors import InvalidRequest

S = TypeVar("S")


def targets(addresses: str | Sequence[str]) -> tuple[str, ...]:
    """Complete addresses: `"a:1,b:2"`, or a list of them."""
    given = addresses.split(",") if isinstance(addresses, str) else addresses
    found = tuple(dict.fromkeys(channel.target(one) for one in given))
    if not found:
        raise InvalidRequest("no address is given")
    return found


class Ways(Generic[S]):
    """The ways to the servers for one session.

    Sessions begin at different servers, by their affinity key: that of a new session is random, that of one that is
    taken up is its id. The key goes along with every stream, for proxies.
    """

    def __init__(self, ways: Sequence[tuple[S, str]], key: str = "") -> None:
        self._ways = ways
        self._key = key or secrets.token_hex(8)
        self._index = zlib.crc32(self._key.encode())

    def next(self, elsewhere: bool) -> tuple[S, str, str]:
        """Stub, address and affinity key for the next stream: where the last one was, or elsewhere."""
        self._index += elsewhere
        stub, address = self._ways[self._index % len(self._ways)]
        return stub, address, self._key

    def again(self, key: str = "") -> "Ways[S]":
        """The same ways, for another session."""
        return Ways(self._ways, key)
