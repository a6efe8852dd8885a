"""Sessions of the fake service: turns that are done once, a store that survives crashes, and streams that break."""

from collections import deque
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field

import grpc
from google.protobuf.duration_pb2 import Duration

from seqserve.v1.decoding_pb2 import FINISH_REASON_END, Hypothesis, LabelScore, Token
from seqserve.v1.model_pb2 import ModelVersion
from seqserve.v1.session_pb2 import (
    DURABILITY_MODE_EVERY_N_STEPS,
    DURABILITY_MODE_EVERY_STEP,
    MOVED_REASON_CLAIMED,
    SESSION_TIER_ACTIVE,
    Closed,
    Durability,
    Feed,
    Forked,
    KeptAlive,
    Moved,
    Opened,
    Output,
    Rewound,
    SessionDescription,
    SessionRequest,
    SessionResponse,
    Snapshotted,
)
from tests.fakes.failures import Failure, because, cut, not_found

CLASSIFIER = ModelVersion(name="questions", version="1")
TTL = Duration(seconds=300)


@dataclass
class Standing:
    words: list[str] = field(default_factory=list)
    pending: str = ""
    inputs: int = 0
    outputs: int = 0


@dataclass
class Conversation:
    """A turn is a step here."""

    durability: Durability = field(default_factory=Durability)
    at: Standing = field(default_factory=Standing)
    log: list[tuple[SessionRequest, list[SessionResponse], Standing]] = field(default_factory=list)
    durable_turn: int = 0

    @property
    def next_turn(self) -> int:
        return len(self.log)

    def opened(self, key: str) -> SessionResponse:
        return SessionResponse(
            opened=Opened(
                session_id=key,
                model=CLASSIFIER,
                input_position=self.at.inputs,
                output_position=self.at.outputs,
                ttl=TTL,
                next_turn=self.next_turn,
                durability=self.durability,
            )
        )

    def described(self, key: str) -> SessionDescription:
        return SessionDescription(
            session_id=key,
            model=CLASSIFIER,
            tier=SESSION_TIER_ACTIVE,
            input_position=self.at.inputs,
            next_turn=self.next_turn,
            durable_turn=self.durable_turn,
            durability=self.durability,
            state_bytes=8192,
        )

    def closed(self) -> SessionResponse:
        return SessionResponse(closed=Closed(input_position=self.at.inputs, output_position=self.at.outputs))

    def run(self, request: SessionRequest) -> tuple[list[SessionResponse], Standing]:
        """What a turn answers, and where the session stands after it."""
        at = deepcopy(self.at)
        if request.HasField("feed"):
            return [SessionResponse(output=_fed(at, request.feed))], at
        if request.HasField("generate"):
            return [SessionResponse(output=one) for one in _written(at)], at
        after = request.rewind.after_turn
        at = deepcopy(self.log[after][2]) if after >= 0 else Standing()
        return [SessionResponse(rewound=Rewound(input_position=at.inputs, output_position=at.outputs))], at

    def accept(self, request: SessionRequest, answers: list[SessionResponse], at: Standing) -> None:
        self.log.append((request, answers, at))
        self.at = at


class FakeSessions(dict[str, Conversation]):
    """The sessions in memory; `store` has those written down, `plan` says what becomes of the next answers."""

    def __init__(self) -> None:
        self.store: dict[str, Conversation] = {}
        self.plan: deque[str] = deque()
        """`ok`; `cut`: the stream breaks, the answer is lost; `crash`: the memory too; `moved`: another took it."""
        self.has_moved = False
        self.num_run = 0
        self.num_answered_again = 0

    def begin(self, request: SessionRequest, context: grpc.ServicerContext) -> tuple[str, Conversation]:
        if request.HasField("open"):
            key = f"session-{len(self) + 1}"
            self[key] = Conversation(request.open.durability)
            self._save(key)
        key = request.resume.session_id if request.HasField("resume") else key
        if key not in self and key in self.store:
            self[key] = deepcopy(self.store[key])
        if key not in self:
            not_found("session", key).abort(context)
        return key, self[key]

    def answers(
        self, talk: Conversation, request: SessionRequest, context: grpc.ServicerContext
    ) -> Iterator[SessionResponse]:
        key = next((key for key, one in self.items() if one is talk), "")
        if not key:  # a crash meanwhile
            cut().abort(context)
        if aside := self._aside(key, talk, request):
            aside.durable_turn = talk.durable_turn
            yield aside
            return
        for answer in self._turn(key, talk, request, context):
            numbered = deepcopy(answer)
            numbered.turn, numbered.durable_turn = request.turn, talk.durable_turn
            yield numbered

    def crash_before(self) -> Failure | None:
        """What to break the stream with instead of giving the next answer."""
        planned = self.plan.popleft() if self.plan else "ok"
        self.has_moved = planned == "moved"
        if planned == "crash":
            self.crash()
        return cut() if planned in ("cut", "crash") else None

    def crash(self) -> None:
        self.clear()

    def _aside(self, key: str, talk: Conversation, request: SessionRequest) -> SessionResponse | None:
        if request.HasField("fork"):
            fork = f"{key}-fork"
            self[fork] = deepcopy(talk)
            self._save(fork)
            return SessionResponse(forked=Forked(session_id=fork))
        if request.HasField("keep_alive"):
            return SessionResponse(kept_alive=KeptAlive(ttl=TTL))
        if request.HasField("snapshot"):
            self._save(key)
            ticket = key.encode() if request.snapshot.as_ticket else b""
            return SessionResponse(snapshotted=Snapshotted(ticket=ticket))
        return None

    def _turn(
        self, key: str, talk: Conversation, request: SessionRequest, context: grpc.ServicerContext
    ) -> Iterator[SessionResponse]:
        turn = request.turn if request.HasField("turn") else talk.next_turn
        if turn > talk.next_turn:
            Failure(grpc.StatusCode.OUT_OF_RANGE, "a gap", [because("OUT_OF_RANGE")]).abort(context)
        if turn < talk.next_turn:
            self.num_answered_again += 1
            if _content(talk.log[turn][0]) != _content(request):
                Failure(grpc.StatusCode.ABORTED, "another", [because("TURN_CONFLICT")]).abort(context)
            yield from _after(talk.log[turn][1], request)
            return
        answers, at = talk.run(request)
        yield from _after(answers[:-1], request)
        talk.accept(request, answers, at)
        self.num_run += 1
        self._save_if_due(key, talk)
        yield answers[-1]

    def _save_if_due(self, key: str, talk: Conversation) -> None:
        every = {DURABILITY_MODE_EVERY_STEP: 1, DURABILITY_MODE_EVERY_N_STEPS: talk.durability.num_steps}
        num_steps = every.get(talk.durability.mode)
        if num_steps and talk.next_turn - talk.durable_turn >= num_steps:
            self._save(key)

    def _save(self, key: str) -> None:
        if self[key].durability.mode in (DURABILITY_MODE_EVERY_STEP, DURABILITY_MODE_EVERY_N_STEPS):
            self[key].durable_turn = self[key].next_turn
            self.store[key] = deepcopy(self[key])


def claimed() -> SessionResponse:
    return SessionResponse(
        moved=Moved(reason=MOVED_REASON_CLAIMED, message="another has claimed the session")
    )


def judged(text: str) -> list[LabelScore]:
    sides = ["question", "statement"] if "?" in text else ["statement", "question"]
    return [LabelScore(label=sides[0], probability=0.75), LabelScore(label=sides[1], probability=0.25)]


def hypothesis(text: str) -> Hypothesis:
    words = text.upper().split()
    tokens = [
        Token(id=index, piece=(" " if index else "") + word, log_prob=-0.5)
        for index, word in enumerate(words)
    ]
    return Hypothesis(
        text=" ".join(words), score=-0.5 * len(words), tokens=tokens, finish_reason=FINISH_REASON_END
    )


def _fed(at: Standing, feed: Feed) -> Output:
    head, space, tail = (at.pending + feed.text).rpartition(" ")
    fresh = (head + space + (tail if feed.end_of_input else "")).split()
    at.pending = "" if feed.end_of_input else tail
    at.words += fresh
    at.inputs += len(fresh)
    labels = judged(" ".join(at.words)) if at.words else ()
    if feed.end_of_input:
        at.words = []
    return Output(input_position=at.inputs, output_position=at.outputs, labels=labels)


def _written(at: Standing) -> list[Output]:
    best = hypothesis(" ".join(at.words))
    at.words = []
    outputs = []
    for token in best.tokens:
        at.outputs += 1
        outputs.append(Output(input_position=at.inputs, output_position=at.outputs, tokens=[token]))
    last = Output(input_position=at.inputs, output_position=at.outputs, finish_reason=FINISH_REASON_END)
    last.hypotheses.append(best)
    return [*outputs, last]


def _after(answers: list[SessionResponse], request: SessionRequest) -> Iterator[SessionResponse]:
    """Those that say more than the caller has seen."""
    seen = request.generate.output_position
    for answer in answers:
        if not answer.output.tokens or answer.output.output_position > seen:
            yield answer


def _content(request: SessionRequest) -> SessionRequest:
    content = deepcopy(request)
    content.ClearField("turn")
    if content.HasField("generate"):
        content.generate.ClearField("output_position")
    return content
