"""Sessions that nobody speaks in: packed, put out to make room, forgotten, and always the same when they are taken."""

import asyncio
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from service.config import SessionSettings
from service.errors import Overloaded, SessionNotFound
from service.registry import Served
from service.sessions import NEVER, Durability, Mode, Parted, Session, SessionTable, Why
from service.sessions.packing import pack, unpack
from service.sessions.stores.memory import MemoryStore
from service.sessions.weight import weight_of
from service.step import Result
from tests.fakes.replica import Replica
from tests.service.sessions.test_table import Clock
from tests.service.sessions.test_weight import fed, measured

MEBIBYTE = 1024 * 1024
STORED = Durability(Mode.EVERY_STEP)


class Idle:
    """A table whose clock stands still, and its sessions."""

    def __init__(self, served: Served, **settings: float) -> None:
        self.clock = Clock()
        self.gone: Counter[str] = Counter()
        self.served = served
        self.settings = SessionSettings(**settings)  # type: ignore[arg-type]
        self.table = SessionTable(self.settings, self.clock, lambda why: self.gone.update([why]))

    def open(
        self, num_turns: int = 1, *, owner: str = "", is_stored: bool = False, num_bytes: int = 0
    ) -> Session:
        session = self.table.open(owner, self.served)
        for _ in range(num_turns):
            fed(session)
        if num_bytes:
            state = {"h": np.zeros(num_bytes, np.uint8)}
            session.standing = replace(
                session.standing, reading=session.standing.reading.then(Result({}, state), 1)
            )
        if is_stored:
            session.durability, session.epoch, session.saved_steps = STORED, 1, session.steps
        return session

    def pack_all(self) -> None:
        self.clock.now += self.settings.compact_after_s
        while self.table.compact():
            pass

    async def settle(self, session: Session) -> Session:
        """Hold it once, so that it is weighed."""
        async with self.table.hold(session.owner, session.id) as holding:
            return holding.session


def written(session: Session) -> list[object]:
    """All that the session is, as values that can be compared bit for bit."""
    standings = [session.standing, *(turn.standing for turn in session.log if turn.standing)]
    joined = [each.reading.context({"memory": 0}) for each in standings]
    arrays = [{**each.reading.state, **each.reading.outputs} for each in standings]
    return [
        [(each.pending, each.input_position, each.output_position, each.text_is_over) for each in standings],
        [{name: array.tobytes() for name, array in each.items()} for each in arrays + joined],
        [(turn.number, turn.digest, turn.answer, turn.num_outputs) for turn in session.log],
        session.log.next_turn,
    ]


@pytest.mark.parametrize("num_turns", [0, 1, 3])
def test_packing_loses_nothing(translator: Served, num_turns: int) -> None:
    session = Idle(translator).open(num_turns, is_stored=True)
    session.revision, session.durable_turn, session.stored_at = 7, 2, 1.5
    session.unanswered_claim = "a1"
    again = unpack(pack(session, SessionSettings()), translator, SessionSettings())
    assert written(again) == written(session)
    here = ["steps", "revision", "saved_steps", "durable_turn", "stored_at", "unanswered_claim", "epoch"]
    here += ["durability", "ttl_s"]
    assert [getattr(again, name) for name in here] == [getattr(session, name) for name in here]
    assert again.is_stored


def test_packing_again_and_again_takes_no_more(translator: Served) -> None:
    """What standings share of a context is shared again when they come back."""
    session = Idle(translator).open(6)
    sizes, weights = [], []
    for _ in range(4):
        packed = pack(session, SessionSettings())
        session = unpack(packed, translator, SessionSettings())
        sizes.append(len(packed))
        weights.append(weight_of(session))
    assert max(sizes) - min(sizes) < 10
    assert len(set(weights)) == 1
    before = [turn.standing.reading for turn in session.log if turn.standing]
    assert before[0].pieces[0] is before[1].pieces[0] is session.standing.reading.pieces[0]


def test_packing_keeps_as_many_turns_as_a_snapshot(translator: Served) -> None:
    session = Idle(translator).open(10)
    again = unpack(pack(session, SessionSettings(stored_turns=3)), translator, SessionSettings())
    assert [turn.number for turn in again.log if turn.standing] == [7, 8, 9]
    assert [turn.answer for turn in again.log] == [turn.answer for turn in session.log]


async def test_a_packed_session_is_what_it_was(translator: Served) -> None:
    idle = Idle(translator)
    session = idle.open(2, owner="ann")
    before = written(session)
    idle.pack_all()
    assert not list(idle.table.unpacked())
    assert session.id in idle.table
    assert idle.table.find("bob", session.id) is None
    with pytest.raises(SessionNotFound):
        await idle.table.take("bob", session.id)
    assert not list(idle.table.unpacked())  # nor does it cost anything
    looked_at = idle.table.find("ann", session.id)
    assert looked_at is not None
    assert written(looked_at) == before
    assert idle.table.seconds_left(session) == session.ttl_s - idle.settings.compact_after_s
    async with idle.table.hold("ann", session.id) as holding:
        assert written(holding.session) == before
    assert len(idle.table) == 1


async def test_a_session_is_packed_only_when_nobody_has_held_it_for_a_while(translator: Served) -> None:
    idle = Idle(translator, compact_after_s=10)
    session = idle.open()
    async with idle.table.hold("", session.id):
        idle.clock.now += 100
        assert idle.table.compact() == 0
    idle.clock.now += 9
    assert idle.table.compact() == 0
    idle.clock.now += 1
    assert idle.table.compact() == 1


def test_what_still_has_to_be_written_is_not_packed(translator: Served) -> None:
    idle = Idle(translator)
    unsaved, saved = idle.open(is_stored=True), idle.open(is_stored=True)
    unsaved.steps += 1
    idle.pack_all()
    idle.pack_all()
    assert [session.id for session in idle.table.unpacked()] == [unsaved.id]
    assert saved.id in idle.table


def test_a_packed_session_takes_little_more_than_its_state(translator: Served) -> None:
    """Of a state of 8 KiB and one answer; the table's own places counted in."""
    idle = Idle(translator)
    num, num_bytes = 300, 8192

    def build() -> None:
        for _ in range(num):
            session = idle.table.open("", translator)
            fed(session, num_bytes // 8)
        idle.pack_all()

    allocated = measured(build) / num
    assert allocated < 1.25 * num_bytes
    assert idle.table.idle_bytes / num == pytest.approx(allocated, rel=0.05)


async def test_packed_sessions_expire_a_few_at_a_time(translator: Served) -> None:
    idle = Idle(translator, default_ttl_s=100)
    for _ in range(25):
        idle.open()
    idle.pack_all()
    kept = idle.open()
    idle.clock.now += 91
    assert [idle.table.expire(10) for _ in range(4)] == [10, 10, 5, 0]
    assert (len(idle.table), idle.gone, kept.id in idle.table) == (1, {"expired": 25}, True)


async def test_a_session_that_lives_on_does_not_end_when_it_would_have(translator: Served) -> None:
    idle = Idle(translator, default_ttl_s=100)
    session = idle.open()
    idle.pack_all()
    idle.clock.now += 80
    await idle.settle(session)
    idle.clock.now += 50
    assert idle.table.expire() == 0
    idle.pack_all()
    idle.clock.now += 41
    assert idle.table.expire() == 1
    assert len(idle.table) == 0


async def test_a_session_that_lived_on_ends_when_its_new_time_is_over(translator: Served) -> None:
    idle = Idle(translator, default_ttl_s=100)
    session = idle.open()
    idle.clock.now += 80
    await idle.settle(session)
    idle.clock.now += 50
    assert idle.table.expire() == 0
    idle.clock.now += 51
    assert idle.table.expire() == 1


def test_a_packed_session_that_another_server_has_is_forgotten(translator: Served) -> None:
    idle = Idle(translator)
    session = idle.open(is_stored=True)
    idle.pack_all()
    idle.table.lose(session, Why.CLAIMED, "")
    assert (session.id in idle.table, idle.table.idle_bytes, idle.gone) == (False, 0, {"claimed": 1})


async def test_past_the_bytes_the_one_idle_for_longest_makes_room(translator: Served) -> None:
    idle = Idle(translator, max_memory_bytes=MEBIBYTE)
    sessions = [idle.open(is_stored=True, num_bytes=200_000) for _ in range(4)]
    for session in sessions:
        await idle.settle(session)
    idle.pack_all()
    first = await idle.settle(sessions[0])
    await idle.settle(idle.open(is_stored=True, num_bytes=400_000))
    await idle.settle(idle.open(is_stored=True, num_bytes=50_000))
    assert [session.id in idle.table for session in sessions] == [True, False, False, True]
    assert idle.gone == {"memory": 2}
    assert idle.table.held_bytes + idle.table.idle_bytes <= MEBIBYTE
    assert first.id in idle.table


async def test_without_a_store_past_the_bytes_a_new_session_is_refused(translator: Served) -> None:
    idle = Idle(translator, max_memory_bytes=MEBIBYTE, default_ttl_s=30)
    sessions = [idle.open(num_bytes=300_000) for _ in range(4)]
    for session in sessions:
        await idle.settle(session)
    with pytest.raises(Overloaded, match="memory for sessions is full: 1,048,576 bytes") as refused:
        idle.open()
    assert refused.value.retry_after_s == 30
    assert all([await idle.settle(session) for session in sessions])
    idle.table.close(sessions[0])
    idle.table.close(sessions[1])
    idle.open()


async def test_a_session_that_grows_while_it_is_held_makes_others_go(translator: Served) -> None:
    idle = Idle(translator, max_memory_bytes=MEBIBYTE)
    other, session = idle.open(is_stored=True, num_bytes=600_000), idle.open()
    await idle.settle(other)
    async with idle.table.hold("", session.id):
        for _ in range(8):
            fed(session, 15_000)
            idle.table.moved_on(session)
        assert other.id not in idle.table
        assert idle.table.held_bytes > 7 * 2 * 4 * 15_000


async def test_nothing_unsaved_is_put_out_however_full_it_is(translator: Served) -> None:
    idle = Idle(translator, max_sessions=100)
    for _ in range(100):
        idle.open(is_stored=True).steps += 1
    with pytest.raises(Overloaded):
        idle.open()
    assert len(idle.table) == 100


async def test_a_cold_session_comes_back_bit_for_bit(translator: Served) -> None:
    replica = Replica(MemoryStore(), translator, max_sessions=1)
    first = await replica.open(translator)
    async with replica.talk(first) as talk:
        await talk.feed("uno dos ")
        before = written(talk.session)
    await replica.settled()
    await replica.open(translator)
    assert first not in replica.table
    async with replica.talk(first) as talk:
        assert written(talk.session) == before
        assert await talk.generate() == "one two"


async def test_a_packed_session_is_fetched_again_where_another_server_had_it(translator: Served) -> None:
    store = MemoryStore()
    first, second = (Replica(store, translator, compact_after_s=0) for _ in range(2))
    session_id = await first.open(translator)
    async with first.talk(session_id) as talk:
        await talk.feed("uno ")
    await first.settled()
    assert first.table.compact() == 1
    async with second.talk(session_id) as talk:
        await talk.feed("dos ")
    await second.settled()
    async with first.talk(session_id) as talk:
        assert await talk.generate() == "one two"


@pytest.mark.parametrize("durability", [NEVER, STORED])
async def test_a_packed_session_can_be_closed(translator: Served, durability: Durability) -> None:
    replica = Replica(MemoryStore(), translator, compact_after_s=0)
    session_id = await replica.open(translator, durability)
    assert replica.table.compact() == 1
    session = replica.table.find("", session_id)
    assert session is not None
    await replica.sessions.close(session)
    with pytest.raises(SessionNotFound):
        async with replica.talk(session_id):
            pass
    assert (len(replica.table), replica.table.idle_bytes) == (0, 0)


async def test_sessions_of_a_model_that_goes_are_all_put_out_and_stay_in_the_store(
    translator: Served,
) -> None:
    store = MemoryStore()
    replica = Replica(store, translator, compact_after_s=0)
    packed, alone, fresh, held = [
        await replica.open(translator, durability) for durability in (STORED, NEVER, STORED, STORED)
    ]
    await replica.settled()
    assert replica.table.compact(2) == 2
    async with replica.talk(held) as talk:
        await talk.feed("uno ")
        assert replica.sessions.count(translator) == 4
        await replica.sessions.evict(translator)
        with pytest.raises(Parted), talk.holding.giving_way():
            await asyncio.sleep(60)
    assert (replica.sessions.count(translator), len(replica.table), replica.table.held_bytes) == (0, 0, 0)
    for session_id in (packed, fresh, held):
        async with Replica(store, translator).talk(session_id):
            pass
    with pytest.raises(SessionNotFound):
        async with replica.talk(alone):
            pass


async def test_cold_sessions_count_for_their_owner(translator: Served) -> None:
    replica = Replica(MemoryStore(), translator, max_sessions=1, max_sessions_per_owner=3)
    ids = [await replica.open(translator, owner="ann") for _ in range(3)]
    await replica.settled()
    assert len(replica.table) == 1
    with pytest.raises(Overloaded, match="you have 3 sessions, which is the limit"):
        await replica.open(translator, owner="ann")
    async with replica.talk(ids[0], owner="ann") as talk:  # what he has he may go on with
        with pytest.raises(Overloaded):
            await replica.sessions.fork(talk.session)
        await replica.sessions.close(talk.session)
    await replica.open(translator, owner="ann")
    await replica.open(translator, owner="bob")


async def test_sessions_in_the_store_only_are_counted(translator: Served) -> None:
    replica = Replica(MemoryStore(), translator, max_sessions=2)
    for _ in range(5):
        await replica.open(translator)
    await replica.settled()
    assert await replica.sessions.num_cold() == 3


async def test_a_stream_that_says_nothing_for_too_long_loses_its_session(translator: Served) -> None:
    store = MemoryStore()
    replica = Replica(store, translator)
    clock = Clock()
    replica.table = replica.sessions._table = SessionTable(SessionSettings(max_silence_s=60), clock)
    silent, talking = await replica.open(translator), await replica.open(translator)
    async with replica.talk(silent) as talk, replica.talk(talking) as other:
        waiting = asyncio.ensure_future(wait_in(talk))
        await asyncio.sleep(0)
        clock.now += 60
        with other.holding.giving_way():
            await replica.sessions.upkeep()
            await asyncio.sleep(0)
        with pytest.raises(Parted) as parted:
            await waiting
        assert parted.value.why.value == "expired"
        await other.feed("uno ")
    for each in (replica, Replica(store, translator)):
        with pytest.raises(SessionNotFound):
            async with each.talk(silent):
                pass


async def wait_in(talk: object) -> None:
    with talk.holding.giving_way():  # type: ignore[attr-defined]
        await asyncio.sleep(60)
