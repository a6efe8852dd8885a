"""How many calls gRPC ended by itself: those that its core has begun, without those that came as far as here."""

import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from service.metrics import Metrics

COUNTED = ("grpc.enable_channelz", 1)
"""The core counts calls only where it is told to."""
NUM_LOOKS = 8
ON_THEIR_WAY = 2
"""Calls that wait no more and have not come here yet, at most: gRPC's Python fetches one at a time."""


class TurnedAway(grpc.aio.ServerInterceptor):
    """Counts calls as they come, outside of all that may refuse them; `look` is called again and again.

    Between what was begun and what was seen lie also the calls that still wait, `max_pending_calls` at most. Nobody
    tells how many wait now, but most looks find none: what the lowest of the last looks agree on is gone. Where they do
    not agree, the queue is behind; then as many as may wait are left out until it is not.
    """

    def __init__(self, metrics: Metrics, max_pending: int) -> None:
        self._count = metrics.calls_turned_away
        self._may_wait = max_pending + ON_THEIR_WAY
        self._server_id = 0
        self._seen = self._told = 0
        self._looks: deque[int] = deque(maxlen=NUM_LOOKS)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Once for each call that is looked at, whatever becomes of it."""
        self._seen += 1
        return await continuation(handler_call_details)

    def watch_newest(self) -> None:
        """Watch the server that was made last in this process."""
        self._server_id = max(int(server["ref"]["serverId"]) for server in _servers(0))

    async def look(self) -> None:
        """Count what is certain by now."""
        self.learn(self._begun() - self._seen)

    def learn(self, unseen: int) -> None:
        """So many calls were begun and have not been looked at."""
        self._looks.append(unseen)
        least = min(self._looks)
        agree = 2 * self._looks.count(least) > NUM_LOOKS
        certain = least if agree else unseen - self._may_wait
        if certain > self._told:
            self._count.inc(certain - self._told)
            self._told = certain

    def _begun(self) -> int:
        [server, *_] = _servers(self._server_id)
        return int(server["data"].get("callsStarted", 0))


def _servers(first: int) -> list[dict[str, Any]]:
    """What gRPC's core tells of its servers, from this id on: `grpc.channelz.v1.GetServersResponse` as JSON."""
    found: list[dict[str, Any]] = json.loads(cygrpc.channelz_get_servers(first))["server"]
    return found
