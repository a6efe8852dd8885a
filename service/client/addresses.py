"""Several servers behind one client: which one is spoken to, and which one next."""

import hashlib
import secrets
from collections.abc import Sequence
from copy import copy
from typing import Generic, Self, TypeVar

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
    """The ways to the servers for one session, in the order of its affinity key (rendezvous hashing).

    The key of a new session is random; the server begins the session's id with it. So sessions are spread, and every
    client of one session, in whatever order it was given the addresses, asks the same server first. The key goes along
    with every stream, for proxies.
    """

    def __init__(self, ways: Sequence[tuple[S, str]], session_id: str = "") -> None:
        self._key = _key_of(session_id) if session_id else secrets.token_hex(4)
        self._ways = sorted(ways, key=lambda way: _weight(self._key, way[1]))
        self._index = 0

    def next(self, elsewhere: bool) -> tuple[S, str, str]:
        """Stub, address and affinity key for the next stream: where the last one was, or elsewhere."""
        self._index += elsewhere
        stub, address = self._ways[self._index % len(self._ways)]
        return stub, address, self._key

    def again(self) -> Self:
        """The same ways for a fork, which begins where its session is."""
        return copy(self)


def _key_of(session_id: str) -> str:
    """The key that the id begins with. Where there is none, a hash of it: an id is a secret, which headers are not."""
    return session_id.rpartition(".")[0] or hashlib.sha256(session_id.encode()).hexdigest()[:8]


def _weight(key: str, address: str) -> bytes:
    return hashlib.blake2b(f"{key} {address}".encode(), digest_size=8).digest()
