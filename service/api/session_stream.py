"""One stream of the Session RPC: open or resume, then requests that are worked off in order."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Literal

from seqserve.v1 import session_pb2
from service import logs
from service.api.calls import Calls
from service.api.converters import options_from_proto, selection_from_proto
from service.api.session_converters import (
    answer_to_proto,
    closed_to_proto,
    durability_from_proto,
    forked_to_proto,
    input_from_proto,
    kept_alive_to_proto,
    manner_from_proto,
    opened_to_proto,
    parted_to_proto,
    position_from_proto,
    rewound_to_proto,
    snapshotted_to_proto,
    ticket_ttl_from_proto,
    ttl_from_proto,
    turn_from_proto,
)
from service.config import LimitSettings
from service.errors import InvalidInput, NotPossible
from service.registry import Registry
from service.sessions import Holding, Parted, Session, Sessions
from service.tasks.conversation import Conversation
from service.tasks.kinds import check_streams, kind_of

Responses = AsyncGenerator[session_pb2.SessionResponse, None]


class SessionStream:
    """Holds its session until the stream ends, however it ends, or until it has to part with it."""

    def __init__(
        self,
        registry: Registry,
        sessions: Sessions,
        limits: LimitSettings,
        owner: str,
        calls: Calls,
        affinity: str = "",
    ) -> None:
        self._registry = registry
        self._sessions = sessions
        self._limits = limits
        self._owner = owner
        self._calls = calls
        self._affinity = affinity
        self._conversation: Conversation | None = None

    async def answers(self, requests: AsyncIterator[session_pb2.SessionRequest]) -> Responses:
        """What the stream answers, request by request; the last message may be that the session has moved."""
        with self._calls.idle():
            first = await anext(requests, None)
        if first is None:
            return
        session_id, resumed_by = await self._session_id(first), _resumed_by(first)
        async with self._sessions.hold(self._owner, session_id, resumed_by) as holding:
            logs.belongs_to(session=logs.tail_of(session_id))
            yield opened_to_proto(holding.session)
            try:
                async with aclosing(self._worked_off(requests, holding)) as answers:
                    async for answer in answers:
                        yield answer
            except Parted as parted:
                yield parted_to_proto(parted)

    async def _worked_off(
        self, requests: AsyncIterator[session_pb2.SessionRequest], holding: Holding
    ) -> Responses:
        while True:
            with holding.giving_way(), self._calls.idle():
                request = await anext(requests, None)
            if request is None:
                return
            self._sessions.check_store(holding.session)
            async with aclosing(self._answers_to(request, holding)) as answers:
                async for answer in answers:
                    await self._sessions.moved_on(holding.session)
                    answer.durable_turn = holding.session.durable_turn
                    yield answer
            if request.HasField("close"):
                return

    async def _session_id(self, first: session_pb2.SessionRequest) -> str:
        """The id of the session that the first request opens or resumes."""
        kind = first.WhichOneof("request")
        if kind == "resume":
            return await self._resumed(first.resume)
        if kind == "open":
            return (await self._open(first.open)).id
        raise NotPossible(f"a stream begins with open or resume, not with {kind or 'an empty request'}")

    async def _open(self, request: session_pb2.Open) -> Session:
        follows = request.HasField("simultaneous")
        served = self._registry.find(**selection_from_proto(request.model), simultaneous=follows)
        check_streams(served.manifest)
        durability = durability_from_proto(request.durability, self._sessions.default_durability)
        ttl_s = ttl_from_proto(request)
        manner = manner_from_proto(request, kind_of(served, self._limits))
        return await self._sessions.open(
            self._owner, served, ttl_s, durability, affinity=self._affinity, manner=manner
        )

    async def _resumed(self, request: session_pb2.Resume) -> str:
        if bool(request.ticket) == bool(request.session_id):
            raise InvalidInput(
                "a session is resumed by its id or by a ticket, exactly one of them", field="resume"
            )
        if request.ticket:
            return await self._sessions.take_up(self._owner, request.ticket)
        return request.session_id

    def _answers_to(self, request: session_pb2.SessionRequest, holding: Holding) -> Responses:
        kind = request.WhichOneof("request")
        if kind is None:
            raise InvalidInput(
                f"a request must be one of {', '.join(_ANSWERS)}; this one is empty", field="request"
            )
        if kind not in _ANSWERS:
            raise NotPossible(
                f"this stream holds a session already; {kind} belongs at the beginning of another one"
            )
        return _ANSWERS[kind](self, request, holding)

    async def _feed(self, request: session_pb2.SessionRequest, holding: Holding) -> Responses:
        feed, turn = request.feed, turn_from_proto(request)
        talk, given = self._talk(holding), input_from_proto(feed)
        position = position_from_proto(feed)
        answer = await talk.feed(given, ends=feed.end_of_input, input_position=position, turn=turn)
        yield answer_to_proto(answer)

    async def _generate(self, request: session_pb2.SessionRequest, holding: Holding) -> Responses:
        generate, turn = request.generate, turn_from_proto(request)
        manifest = holding.session.served.manifest
        options = options_from_proto(generate.options, manifest, "generate.options")
        position = position_from_proto(generate)
        writing = self._talk(holding).generate(options, output_position=position, turn=turn)
        async with aclosing(writing) as answers:
            while True:
                with holding.giving_way():
                    answer = await anext(answers, None)
                if answer is None:
                    return
                yield answer_to_proto(answer)

    async def _rewind(self, request: session_pb2.SessionRequest, holding: Holding) -> Responses:
        answer = await self._talk(holding).rewind(request.rewind.after_turn, turn=turn_from_proto(request))
        yield rewound_to_proto(answer)

    async def _fork(self, request: session_pb2.SessionRequest, holding: Holding) -> Responses:
        yield forked_to_proto(await self._sessions.fork(holding.session))

    async def _keep_alive(self, request: session_pb2.SessionRequest, holding: Holding) -> Responses:
        await self._sessions.keep_alive(holding.session)
        yield kept_alive_to_proto(holding.session)

    async def _snapshot(self, request: session_pb2.SessionRequest, holding: Holding) -> Responses:
        snapshot = request.snapshot
        if snapshot.as_ticket:
            yield snapshotted_to_proto(
                *self._sessions.tickets.give(holding.session, ticket_ttl_from_proto(snapshot))
            )
        else:
            await self._sessions.save(holding.session)
            yield snapshotted_to_proto()

    async def _close(self, request: session_pb2.SessionRequest, holding: Holding) -> Responses:
        await self._sessions.close(holding.session)
        yield closed_to_proto(holding.session)

    def _talk(self, holding: Holding) -> Conversation:
        if self._conversation is None or self._conversation.session is not holding.session:
            self._conversation = Conversation(holding.session, self._limits, self._count_repeated)
        return self._conversation

    def _count_repeated(self, outcome: str) -> None:
        self._sessions.metrics.turns_repeated.labels(outcome).inc()


def _resumed_by(first: session_pb2.SessionRequest) -> Literal["", "id", "ticket"]:
    """By what the first request resumes a session; empty where it opens one."""
    if not first.HasField("resume"):
        return ""
    return "ticket" if first.resume.ticket else "id"


_ANSWERS: dict[str, Callable[[SessionStream, session_pb2.SessionRequest, Holding], Responses]] = {
    "feed": SessionStream._feed,
    "generate": SessionStream._generate,
    "rewind": SessionStream._rewind,
    "fork": SessionStream._fork,
    "snapshot": SessionStream._snapshot,
    "keep_alive": SessionStream._keep_alive,
    "close": SessionStream._close,
}
"""What follows an open or resume."""
