"""Health: whether the server serves, its services, and each of its parts (`service.parts`)."""

from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

from service.parts import Parts

Context = grpc.aio.ServicerContext[Any, Any]
Status = health_pb2.HealthCheckResponse
SERVICE_NAME: str = health.SERVICE_NAME


class Health(health.aio.HealthServicer):  # type: ignore[misc]  # it has no types
    """grpc.health.v1, with `List`. A part that does not work changes nothing for the whole: "" serves on."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self._parts = parts
        self._listed: set[str] = set()

    async def serve(self, *services: str) -> None:
        """These are served from now on."""
        for service in services:
            await self.set(service, Status.SERVING)

    async def look(self) -> None:
        """Ask the parts, and tell of them under their names."""
        self._parts.look()
        failing, names = self._parts.failing, self._parts.names
        for name in names:
            await self.set(name, Status.NOT_SERVING if name in failing else Status.SERVING)
        for name in self._listed - names:
            await self.set(name, Status.SERVICE_UNKNOWN)
            self._server_status.pop(name, None)
        self._listed = set(names)

    async def List(  # noqa: N802  (named by the proto)
        self, request: health_pb2.HealthListRequest, context: Context
    ) -> health_pb2.HealthListResponse:
        statuses = {name: Status(status=status) for name, status in self._server_status.items()}
        return health_pb2.HealthListResponse(statuses=statuses)
