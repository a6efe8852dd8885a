"""SessionService: a caller's own sessions. Errors rise to the interceptor."""

from typing import Any

import grpc
from google.protobuf import timestamp_pb2

from seqserve.v1 import model_pb2, session_pb2, session_pb2_grpc
from service.api.owners import Owners
from service.api.session_converters import durability_to_proto
from service.errors import InvalidInput
from service.sessions import Description, Directory, Tier

Context = grpc.aio.ServicerContext[Any, Any]

DEFAULT_PAGE = 100
MAX_PAGE = 1000

_TIERS = {
    Tier.ACTIVE: session_pb2.SESSION_TIER_ACTIVE,
    Tier.IDLE: session_pb2.SESSION_TIER_IDLE,
    Tier.COLD: session_pb2.SESSION_TIER_COLD,
}


class SessionServicer(session_pb2_grpc.SessionServiceServicer):
    """Lists, describes and closes."""

    def __init__(self, directory: Directory, owners: Owners) -> None:
        self._directory = directory
        self._owners = owners

    async def ListSessions(  # noqa: N802  (named by the proto)
        self, request: session_pb2.ListSessionsRequest, context: Context
    ) -> session_pb2.ListSessionsResponse:
        if not 0 <= request.page_size <= MAX_PAGE:
            raise InvalidInput(
                f"page_size must be 1 to {MAX_PAGE:,}, or 0 for {DEFAULT_PAGE}, not {request.page_size}",
                field="page_size",
            )
        owner, size = self._owners.owner_of(context), request.page_size or DEFAULT_PAGE
        sessions, token = await self._directory.list(owner, size, request.page_token)
        return session_pb2.ListSessionsResponse(
            sessions=map(description_to_proto, sessions), next_page_token=token
        )

    async def DescribeSession(  # noqa: N802
        self, request: session_pb2.DescribeSessionRequest, context: Context
    ) -> session_pb2.DescribeSessionResponse:
        found = await self._directory.describe(self._owners.owner_of(context), request.session_id)
        return session_pb2.DescribeSessionResponse(session=description_to_proto(found))

    async def CloseSession(  # noqa: N802
        self, request: session_pb2.CloseSessionRequest, context: Context
    ) -> session_pb2.CloseSessionResponse:
        await self._directory.close(self._owners.owner_of(context), request.session_id)
        return session_pb2.CloseSessionResponse()


def description_to_proto(description: Description) -> session_pb2.SessionDescription:
    expires = timestamp_pb2.Timestamp()
    expires.FromMilliseconds(round(description.expires_at * 1000))
    return session_pb2.SessionDescription(
        session_id=description.session_id,
        model=model_pb2.ModelVersion(name=description.model, version=description.version),
        tier=_TIERS[description.tier],
        input_position=description.input_position,
        output_position=description.output_position,
        next_turn=description.next_turn,
        durable_turn=description.durable_turn,
        durability=durability_to_proto(description.durability),
        expires=expires,
        state_bytes=description.state_bytes,
    )
