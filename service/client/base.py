"""What the sync and the async client have in common: settings, and what many texts in several requests need."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeVar

from service.client import channel
from service.client.access import Tls, access
from service.client.addresses import targets
from service.client.batches import Batches
from service.client.errors import (
    ClientError,
    InvalidRequest,
    NotPossible,
    Overloaded,
    ServerFailed,
)
from service.client.gate import Gate
from service.client.headers import Headers, with_headers
from service.client.reconnecting import Watch
from service.client.talk import Manner
from service.client.throttle import USUAL, HoldingBack

MAX_WAITS = 8
"""How often one request of a long list waits for room on an overloaded server."""
MAX_WAIT_S = 5.0
JITTER = 0.5
"""Waits are longer by up to this share."""

Priority = Literal["high", "normal", "low"]
PRIORITY_HEADER = "seqserve-priority"

C = TypeVar("C")
R = TypeVar("R")

_INDEXED = re.compile(r"(texts|prompts)\[(\d+)\]")


class ClientBase:
    """The settings of a client; `Client` and `AsyncClient` add a channel."""

    def __init__(
        self,
        address: str | Sequence[str] = channel.DEFAULT_ADDRESS,
        *,
        timeout: float | None = 60.0,
        max_attempts: int = channel.MAX_ATTEMPTS,
        max_texts: int = 32,
        max_under_way: int = 4,
        patience: float = 60.0,
        watch: Watch | None = None,
        tls: bool | Tls = False,
        token: str | Path | None = None,
        priority: Priority = "normal",
        multiplex: bool = False,
        connections: int = 1,
        holding_back: HoldingBack | None = USUAL,
    ) -> None:
        """Set up a client; nothing is sent yet.

        timeout: seconds for one request where a method is given no other; None waits for ever.
        max_attempts: how often a request is sent, 1 to 5, while the server cannot be reached, goes or turns it away.
        max_texts: texts of one request; longer lists are split.
        max_under_way: requests of one list that are under way at once.
        address: one server, or several: `"a:50051,b:50051"` or a list; where one is not there, the next is asked.
        patience: seconds that a session whose server is gone looks for one before it raises the error.
        watch: called when a session's stream breaks (`Reconnecting`, at each attempt) and when it goes on (`Resumed`).
        tls: True, or `Tls(ca_file=…, cert_file=…, key_file=…)`: speak TLS, with a certificate of one's own or without.
        token: an access key or a token of an issuer; a `Path` is the file that holds it, read again for every call.
        multiplex: of an `AsyncClient`: its sessions and token streams share one stream of gRPC, which is cheaper where
            there are many at once; a proxy sees one long call then, and cannot spread what is in it.
        connections: how many connections to each address requests and sessions take in turn. A server of several
            workers answers all that comes by one connection in one of them; which one is left to chance.
        holding_back: when calls that a server with too much to do would refuse are not sent to it; None sends them all.
            Sessions that were opened go on in any case.
        priority: who goes first where the server cannot do all at once; answers are the same. It may allow less.
        """
        self.addresses = targets(address)
        self._current = 0
        self._timeout = timeout
        self._max_texts = max_texts
        self._max_under_way = max_under_way
        self._access = access(tls, token)
        self._access.check(self.addresses, channel.is_local)
        self._priority = priority
        self._options = channel.options(self.addresses, max_attempts, connections)
        self._num_connections, self._turns = connections, count()
        self._max_attempts = max_attempts
        self._gates = {one: Gate(one, holding_back, max_attempts) for one in self.addresses}
        self._manner = Manner(patience, max_attempts, self._gates, watch or (lambda event: None))
        self._multiplex = multiplex
        self._closed = False
        self._connect()

    def _connect(self) -> None: ...

    def _open(self, plain: Callable[..., C], secure: Callable[..., C]) -> list[C]:
        """A channel to each server, as many times as there are to be connections, made by the one or by the other."""
        tls, addresses = self._access.tls, self.addresses * self._num_connections
        if tls is None:
            return [plain(address, self._options) for address in addresses]
        credentials, options = tls.credentials(), [*self._options, *tls.options()]
        return [secure(address, credentials, options) for address in addresses]

    def _in_turn(self, opened: Sequence[C]) -> Sequence[C]:
        """Of what there is for each connection, what is next: one for each address."""
        start = next(self._turns) % self._num_connections * len(self.addresses)
        return opened[start : start + len(self.addresses)]

    def _over(self, opened: Any) -> Any:
        """The channel with what each call of this client carries."""
        bare = self._access.token is None and self._priority == "normal"
        return opened if bare else with_headers(opened, self._headers)

    def _headers(self) -> Headers:
        urgent = () if self._priority == "normal" else ((PRIORITY_HEADER, self._priority),)
        return (*self._access.headers(), *urgent)

    @property
    def address(self) -> str:
        """The server that whole texts are sent to at present."""
        return self.addresses[self._current % len(self.addresses)]

    def _turn_elsewhere(self) -> None:
        """The server is not there: whole texts go to the next one."""
        self._current += 1

    def _within(self, timeout: float | None) -> float | None:
        return self._timeout if timeout is None else timeout

    def _batches(self) -> Batches[str]:
        return Batches(self._max_texts, self._max_under_way)

    def _check_open(self) -> None:
        if self._closed:
            raise NotPossible("this client is closed")


def complete(answers: list[R], texts: Sequence[str]) -> list[R]:
    """Return the answers; a server that answers fewer or more texts than it was asked is at fault."""
    if len(answers) != len(texts):
        raise ServerFailed(f"the server answered {len(answers)} of {len(texts)} texts")
    return answers


def wait_s(error: Overloaded) -> float:
    """How long a request of a long list waits: not all that were refused together come again together."""
    return min(error.retry_after_s, MAX_WAIT_S) * random.uniform(1.0, 1.0 + JITTER)


def wrong_text(error: ClientError) -> int | None:
    """Return the index, in its request, of the one text that the server refused."""
    found = _INDEXED.match(error.field) if isinstance(error, InvalidRequest) else None
    return int(found[2]) if found else None


def counted_from(start: int, error: ClientError) -> ClientError:
    """The same error with the index in the whole list of a text whose request began at `start`."""

    def shifted(path: str) -> str:
        return _INDEXED.sub(lambda found: f"{found[1]}[{start + int(found[2])}]", path)

    return type(error)(shifted(str(error)), replace(error.details, field=shifted(error.details.field)))
