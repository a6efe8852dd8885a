"""One stream of the Session RPC: open or resume, then feeds, generates and close, worked off in order."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from seqserve.v1 import session_pb2
from service.api.converters import (
    answer_to_proto,
    closed_to_proto,
    input_from_proto,
    opened_to_proto,
    options_from_proto,
    selection_from_proto,
    ttl_from_proto,
)
from service.config import LimitSettings
from service.errors import InvalidInput, NotPossible
from service.registry import Registry
from service.sessions import Session, SessionTable
from service.tasks.conversation import Answer, Conversation, check_streams

OWNER = ""
"""Whose the sessions are, until callers say who they are."""

Responses = AsyncGenerator[session_pb2.SessionResponse, None]


class SessionStream:
    """Holds its session until the stream ends, however it ends."""

    def __init__(self, registry: Registry, sessions: SessionTable, limits: LimitSettings) -> None:
        self._registry = registry
        self._sessions = sessions
        self._limits = limits

    async def answers(self, requests: AsyncIterator[session_pb2.SessionRequest]) -> Responses:
        """What the stream answers, request by request."""
        first = await anext(requests, None)
        if first is None:
            return
        with self._sessions.hold(OWNER, self._session_id(first)) as session:
            yield opened_to_proto(session)
            async for request in requests:
                async with aclosing(self._answers_to(request, session)) as answers:
                    async for answer in answers:
                        yield answer
                if request.HasField("close"):
                    return

    def _session_id(self, first: session_pb2.SessionRequest) -> str:
        """The id of the session that the first request opens or resumes."""
        kind = first.WhichOneof("request")
        if kind == "resume":
            return first.resume.session_id
        if kind == "open":
            return self._open(first.open).id
        raise NotPossible(f"a stream begins with open or resume, not with {kind or 'an empty request'}")

    def _open(self, request: session_pb2.Open) -> Session:
        served = self._registry.find(**selection_from_proto(request.model))
        check_streams(served.manifest)
        return self._sessions.open(OWNER, served, ttl_from_proto(request))

    async def _answers_to(self, request: session_pb2.SessionRequest, session: Session) -> Responses:
        kind = request.WhichOneof("request")
        if kind == "feed":
            yield answer_to_proto(await self._feed(session, request.feed))
        elif kind == "generate":
            options = options_from_proto(
                request.generate.options, session.served.manifest, "generate.options"
            )
            async with aclosing(Conversation(session, self._limits).generate(options)) as answers:
                async for answer in answers:
                    yield answer_to_proto(answer)
        elif kind == "close":
            self._sessions.close(session)
            yield closed_to_proto(session)
        else:
            _refuse(kind)

    async def _feed(self, session: Session, feed: session_pb2.Feed) -> Answer:
        position = feed.input_position if feed.HasField("input_position") else None
        given = input_from_proto(feed)
        return await Conversation(session, self._limits).feed(
            given, ends=feed.end_of_input, input_position=position
        )


def _refuse(kind: str | None) -> None:
    if kind is None:
        raise InvalidInput(
            "a request must be one of feed, generate and close; this one is empty", field="request"
        )
    raise NotPossible(f"this stream holds a session already; {kind} belongs at the beginning of another one")
