"""One call from where it comes in to where it ends: who makes it, and what it uses."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import grpc

from service.api.access import MULTIPLEX
from service.api.callers import THIS_CALL, Caller
from service.api.calls import this_task
from service.api.door import Door
from service.api.patience import Patience
from service.api.quotas import Account, Quotas
from service.api.urgency import Urgency
from service.api.usage import Usage
from service.errors import Unauthenticated

Context = grpc.aio.ServicerContext[Any, Any]


class Visits:
    """Lets calls in, one by one; for whatever service."""

    def __init__(self, door: Door, quotas: Quotas, urgency: Urgency, patience: Patience) -> None:
        self.door = door
        self.urgency = urgency
        self.quotas = quotas
        self.patience = patience

    @contextmanager
    def visit(self, method: str, context: Context, *, streams: bool) -> Iterator["Visit"]:
        """Unauthenticated, NotAllowed, QuotaExceeded or Overloaded where the caller may not come in."""
        self.patience.check(context)
        generation = self.door.generation
        caller = self.door.admit(method, context)
        account = None if method == MULTIPLEX else self.quotas.account(caller.owner, caller.roles)
        token = THIS_CALL.set(caller)
        try:
            with self.urgency.of_call(context), account.call() if account else nullcontext():
                yield Visit(self, method, context, caller, generation, account, streams)
        finally:
            THIS_CALL.reset(token)


class Visit:
    """A call that was let in. It is told of each message, which costs next to nothing where nothing is limited."""

    __slots__ = (
        "_account",
        "_caller",
        "_context",
        "_door",
        "_generation",
        "_method",
        "_usage",
        "patience",
        "task",
    )

    def __init__(
        self,
        visits: Visits,
        method: str,
        context: Context,
        caller: Caller,
        generation: int,
        account: Account | None,
        streams: bool,
    ) -> None:
        self._door = visits.door
        self._method = method
        self._context = context
        self._caller = caller
        self._generation = generation
        self._account = account
        self._usage = Usage(streams=streams) if account and account.counts_tokens else None
        self.patience = visits.patience
        self.task = this_task()

    def begin_request(self) -> None:
        """Another request comes in: the caller must still be good, and able to pay for it."""
        if self._door.asks and self._door.is_past(self._caller, self._generation):
            self._ask_again()
        if self._account:
            self._account.take_request()

    def count_request(self, request: Any) -> None:
        """Count what is counted of a request."""
        if self._usage and self._account:
            self._account.spend_tokens(self._usage.of_request(request))

    def count_response(self, response: Any) -> None:
        """Count what is counted of an answer."""
        if self._usage and self._account:
            self._account.spend_tokens(self._usage.of_response(response))

    def _ask_again(self) -> None:
        """His key may be gone, or his token's time over."""
        generation = self._door.generation
        caller = self._door.admit(self._method, self._context)
        if caller.owner != self._caller.owner:
            raise Unauthenticated("the credentials are now somebody else's", why="owner")
        self._caller, self._generation = caller, generation
