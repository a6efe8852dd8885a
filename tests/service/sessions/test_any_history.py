"""Any history of opening, feeding, writing, going back, forking, crashing and resuming equals each session alone."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    rule,
    run_state_machine_as_test,
)

from service.config import LimitSettings, SessionSettings
from service.errors import SessionNotFound, TicketOutdated
from service.registry import Served
from service.sessions import NEVER, Durability, Mode, Session, Standing, TurnLog
from service.sessions.seal import Keyring
from service.sessions.stores.memory import MemoryStore
from service.tasks.answers import Answer
from service.tasks.conversation import Conversation
from service.tasks.decoding import DecodingOptions
from tests.bundles import write_translator
from tests.fakes.replica import Replica, Talker
from tests.fakes.toy_bundles import VOCABULARY_SIZE
from tests.fakes.toy_translator import OFFSET, POISON, ToyEngine

LIMITS = LimitSettings()
KEPT = 4
DURABILITIES = (NEVER, Durability(Mode.EVERY_N_STEPS, 3), Durability(Mode.EVERY_STEP))

WORDS = st.lists(st.sampled_from(["uno", "dos", "cuatro"]), min_size=1, max_size=4)

MAX_LENGTH = 12
Request = tuple[str, object]
GREEDY: Request = ("generate", DecodingOptions(max_length=MAX_LENGTH))


async def ask(session: Session, request: Request, turn: int | None = None) -> Answer:
    """The whole answer to a request."""
    kind, content = request
    talk = Conversation(session, LIMITS)
    if kind == "feed":
        return await talk.feed(str(content), turn=turn)
    if kind == "rewind":
        assert isinstance(content, int)
        return await talk.rewind(content, turn=turn)
    assert isinstance(content, DecodingOptions)
    answers = [answer async for answer in talk.generate(content, turn=turn)]
    return replace(answers[-1], tokens=tuple(token for answer in answers for token in answer.tokens))


@dataclass
class Known:
    """A session as its client knows it, and one that lives alone and does the same."""

    id: str
    durability: Durability
    alone: Session
    home: int
    """The server that it is on, where it is not durable."""
    requests: list[Request] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    may_be_lost: bool = False
    """Its server has crashed, and it was not durable."""


class Histories(RuleBasedStateMachine):
    """Two servers on one store, which crash, and clients that go on."""

    served: Served
    is_toy: bool
    sessions = Bundle("sessions")
    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = MemoryStore()
        self.ring = Keyring.random()
        self.replicas = [self.new_replica(), self.new_replica()]

    def new_replica(self) -> Replica:
        return Replica(
            self.store, self.served, ring=self.ring, kept_turns=KEPT, stored_turns=KEPT, kept_answers=6
        )

    def teardown(self) -> None:
        self.runner.run(self.settle())
        self.runner.close()

    async def settle(self) -> None:
        for replica in self.replicas:
            await replica.settled()

    @rule(target=sessions, durability=st.sampled_from(DURABILITIES), on=st.integers(0, 1))
    def opens(self, durability: Durability, on: int) -> Known:
        session_id = self.runner.run(self.replicas[on].open(self.served, durability))
        log = TurnLog(SessionSettings(kept_turns=1000, kept_answers=1000))
        return Known(session_id, durability, Session("alone", "", self.served, 60.0, log=log), on)

    @rule(known=sessions, words=WORDS, cut=st.integers(0, 9), on=st.integers(0, 1))
    def feeds(self, known: Known, words: list[str], cut: int, on: int) -> None:
        self.runner.run(self.fed(known, words, cut, on))

    @rule(known=sessions, words=WORDS, beam=st.integers(1, 2), on=st.integers(0, 1))
    def writes(self, known: Known, words: list[str], beam: int, on: int) -> None:
        self.runner.run(self.fed(known, words, 0, on))
        self.runner.run(
            self.asks(known, ("generate", DecodingOptions(beam, beam, max_length=MAX_LENGTH)), on)
        )

    @rule(
        known=sessions,
        words=WORDS,
        num_batches=st.integers(0, 5),
        on=st.integers(0, 1),
        goes_on=st.booleans(),
    )
    def begins_to_write(
        self, known: Known, words: list[str], num_batches: int, on: int, goes_on: bool
    ) -> None:
        self.runner.run(self.fed(known, words, 0, on))
        self.runner.run(self.breaks(known, GREEDY, num_batches, on))
        if goes_on and known.alone.standing.reading.num_tokens:
            self.runner.run(self.asks(known, GREEDY, 1 - on))

    @rule(known=sessions, back=st.integers(1, KEPT), on=st.integers(0, 1))
    def goes_back(self, known: Known, back: int, on: int) -> None:
        turn = len(known.requests) - back
        self.runner.run(self.asks(known, ("rewind", max(-1, turn)), on))

    @rule(known=sessions, back=st.integers(1, 6), on=st.integers(0, 1))
    def repeats(self, known: Known, back: int, on: int) -> None:
        turn = len(known.requests) - back
        if turn >= 0:
            self.runner.run(self.repeated(known, turn, on))

    @rule(target=sessions, known=sessions, on=st.integers(0, 1))
    def forks(self, known: Known, on: int) -> Known:
        return self.runner.run(self.forked(known, on))

    @rule(known=sessions, on=st.integers(0, 1))
    def saves(self, known: Known, on: int) -> None:
        if known.durability is not NEVER:
            self.runner.run(self.saved(known, on))

    @rule(target=tickets, known=sessions, on=st.integers(0, 1))
    def asks_for_a_ticket(self, known: Known, on: int) -> tuple[Known, bytes, int]:
        return self.runner.run(self.ticket_of(known, on))

    @rule(ticket=tickets, on=st.integers(0, 1))
    def comes_with_a_ticket(self, ticket: tuple[Known, bytes, int], on: int) -> None:
        self.runner.run(self.taken_up(*ticket, on))

    @rule(known=consumes(sessions), on=st.integers(0, 1))
    def closes(self, known: Known, on: int) -> None:
        self.runner.run(self.closed(known, on))

    @rule(on=st.integers(0, 1))
    def crashes(self, on: int) -> None:
        self.replicas[on] = self.new_replica()

    async def asks(self, known: Known, request: Request, on: int) -> None:
        on = self.server_of(known, on)
        async with self.talking(known, on) as session:
            if session is None:
                return
            before = known.alone.standing
            expected = await ask(known.alone, request)
            known.requests.append(request)
            known.answers.append(expected)
            assert await ask(session, request) == expected
            await self.replicas[on].sessions.moved_on(session)
            if self.is_toy and request == GREEDY:
                assert [token.id for token in expected.tokens] == by_hand(before, MAX_LENGTH)

    async def fed(self, known: Known, words: list[str], cut: int, on: int) -> None:
        """Feed words in two pieces, unless the text gets too long; at least one word is there afterwards."""
        text = " ".join(words) + " "
        if known.alone.standing.reading.num_tokens < 8:
            for piece in filter(None, (text[:cut], text[cut:])):
                await self.asks(known, ("feed", piece), on)

    async def cut_off(self, writing: "asyncio.Task[Answer]", num_batches: int) -> None:
        """Cancel an output that is under way, after so many batches where the engine can be held."""
        engine = self.served.engine
        if isinstance(engine, ToyEngine):
            engine.hold()
            if num_batches:
                engine.let(num_batches)
        await asyncio.sleep(0.005)
        writing.cancel()
        await asyncio.wait([writing])
        if isinstance(engine, ToyEngine):
            engine.let_go()

    async def breaks(self, known: Known, request: Request, num_batches: int, on: int) -> None:
        on = self.server_of(known, on)
        async with self.talking(known, on) as session:
            if session is None:
                return
            writing = asyncio.create_task(ask(session, request))
            await self.cut_off(writing, num_batches)
            await self.replicas[on].sessions.moved_on(session)
            if session.log.next_turn > len(known.requests):
                known.requests.append(request)
                known.answers.append(await ask(known.alone, request))

    async def repeated(self, known: Known, turn: int, on: int) -> None:
        on = self.server_of(known, on)
        async with self.talking(known, on) as session:
            if session is not None:
                assert await ask(session, known.requests[turn], turn) == known.answers[turn]

    async def forked(self, known: Known, on: int) -> Known:
        on = self.server_of(known, on)
        async with self.talking(known, on) as session:
            if session is None:
                return known
            fork = await self.replicas[on].sessions.fork(session)
            alone = known.alone.fork("alone")
            return Known(fork.id, known.durability, alone, known.home, [*known.requests], [*known.answers])

    async def saved(self, known: Known, on: int) -> None:
        on = self.server_of(known, on)
        async with self.talking(known, on) as session:
            if session is not None:
                await self.replicas[on].sessions.save(session)
                assert session.durable_turn == len(known.requests)

    async def ticket_of(self, known: Known, on: int) -> tuple[Known, bytes, int]:
        on = self.server_of(known, on)
        async with self.talking(known, on) as session:
            if session is None:
                return known, b"", 0
            ticket, _ = self.replicas[on].sessions.tickets.give(session)
            return known, ticket, len(known.requests)

    async def taken_up(self, known: Known, ticket: bytes, turns: int, on: int) -> None:
        if not ticket or known.durability is NEVER:
            return
        try:
            session_id = await self.replicas[on].sessions.take_up("", ticket)
        except TicketOutdated:
            assert known.may_be_lost or turns < len(known.requests)
            return
        assert session_id == known.id
        async with self.talking(known, on) as session:
            assert session is not None

    async def closed(self, known: Known, on: int) -> None:
        on = self.server_of(known, on)
        async with self.talking(known, on) as session:
            if session is not None:
                await self.replicas[on].sessions.close(session)
        known.may_be_lost = True
        for replica in self.replicas:
            with pytest.raises(SessionNotFound):
                async with replica.talk(known.id):
                    pass

    def server_of(self, known: Known, on: int) -> int:
        return known.home if known.durability is NEVER else on

    def talking(self, known: Known, on: int) -> "Talking":
        return Talking(self, known, on)


def by_hand(standing: Standing, max_length: int) -> list[int]:
    """What the toy writes: the i-th word out is the i-th word in, ten further; the last one for an unknown word."""
    memory = standing.reading.context({"memory": 0})["memory"]
    read = [int(place) // 1000 for place in memory][:max_length]
    return [token + OFFSET if token in range(4, POISON) else VOCABULARY_SIZE - 1 for token in read]


class Talking:
    """Holds a session and sends again what its server has not got, as the client library does."""

    def __init__(self, histories: Histories, known: Known, on: int) -> None:
        self._histories = histories
        self._known = known
        self._hold = histories.replicas[on].talk(known.id)

    async def __aenter__(self) -> Session | None:
        known = self._known
        try:
            talker = await self._hold.__aenter__()
        except SessionNotFound:
            assert known.durability is NEVER or known.may_be_lost, "a durable session is lost"
            known.may_be_lost = True
            self._hold = None  # type: ignore[assignment]
            return None
        try:
            await self._catch_up(talker)
        except BaseException:
            await self._hold.__aexit__(None, None, None)
            raise
        return talker.session

    async def _catch_up(self, talker: Talker) -> None:
        known, session = self._known, talker.session
        for turn in range(session.log.next_turn, len(known.requests)):
            assert known.durability.mode is not Mode.EVERY_STEP, "an answer was lost"
            session.unfinished = None
            assert await ask(session, known.requests[turn], turn) == known.answers[turn]
            await talker.sessions.moved_on(session)
        assert session.log.next_turn == len(known.requests)

    async def __aexit__(self, *error: object) -> None:
        if self._hold is not None:
            await self._hold.__aexit__(*error)  # type: ignore[arg-type]


@pytest.mark.timeout(900)
def test_any_history_of_a_model_that_can_be_computed_by_hand(translator: Served) -> None:
    class Toy(Histories):
        served = translator
        is_toy = True

    run_state_machine_as_test(Toy, settings=settings(max_examples=100, stateful_step_count=25, deadline=None))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    from service.bundle import Bundle
    from service.config import EngineSettings, SchedulerSettings
    from service.engine.onnx import OnnxEngine
    from service.metrics import Metrics
    from service.scheduler import Scheduler

    folder: Path = write_translator(
        tmp_path_factory.mktemp("real"), encoder={"hidden": 24, "bidirectional": False}
    )
    bundle = Bundle.read(folder)
    engine = OnnxEngine(bundle, EngineSettings())
    engine.warm_up()
    served = Served(bundle, engine, Scheduler(engine, SchedulerSettings(), Metrics(), "real"))
    yield served
    served.close()


@pytest.mark.timeout(900)
def test_any_history_of_a_real_model(real: Served) -> None:
    class Real(Histories):
        served = real
        is_toy = False

    run_state_machine_as_test(Real, settings=settings(max_examples=20, stateful_step_count=20, deadline=None))
