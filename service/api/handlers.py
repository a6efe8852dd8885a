"""Which behavior answers a method: a servicer's, inside the interceptors, just as gRPC itself would call it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc

Handler = Any
"""A grpc.RpcMethodHandler; its fields have no types."""
Find = Callable[["Details"], Awaitable[Handler]]


@dataclass(frozen=True, slots=True)
class Details:
    """What interceptors are told of a call: a grpc.HandlerCallDetails."""

    method: str
    invocation_metadata: tuple[()] = ()


class Handlers:
    """Of the services that are added, as to a grpc server."""

    def __init__(self, interceptors: Sequence[grpc.aio.ServerInterceptor]) -> None:
        """The first one is the outermost."""
        self._added: list[Any] = []
        self._known: dict[str, Handler] = {}
        self._find: Find = self._innermost
        for interceptor in reversed(interceptors):
            self._find = partial(interceptor.intercept_service, self._find)  # type: ignore[arg-type]

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        self._added += handlers

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """The same methods, for a server that looks them up by itself."""

    async def find(self, method: str) -> Handler | None:
        """By the method's whole name; None where there is no such method."""
        if method not in self._known:
            handler = await self._find(Details(method))
            if handler is None:
                return None
            self._known[method] = handler
        return self._known[method]

    async def _innermost(self, details: Details) -> Handler | None:
        found = (handlers.service(details) for handlers in self._added)
        return next((handler for handler in found if handler is not None), None)
