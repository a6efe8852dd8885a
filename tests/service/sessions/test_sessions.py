"""Sessions that outlive the memory they were in: another server, or the next one, goes on with them."""

import asyncio

import pytest

from service.errors import NotPossible, SessionNotFound, SnapshotRefused, StoreAway
from service.registry import Served
from service.sessions import NEVER, Durability, Mode, Parted, Why
from service.sessions.seal import Keyring
from service.sessions.stores.memory import MemoryStore
from service.tasks.conversation import Conversation
from service.tasks.decoding import DecodingOptions
from tests.fakes.replica import LIMITS, Replica
from tests.fakes.slow_stores import SlowStore
from tests.fakes.toy_server import engine_of

SOMETIMES = Durability(Mode.EVERY_N_STEPS, 3)


async def test_another_server_goes_on_where_the_first_one_crashed(translator: Served) -> None:
    store = MemoryStore()
    first, second = Replica(store, translator), Replica(store, translator)
    session_id = await first.open(translator)
    async with first.talk(session_id) as talk:
        assert await talk.feed("uno do") == 1
        async with second.talk(session_id) as other:
            assert (other.session.standing.input_position, other.session.log.next_turn) == (1, 1)
            await other.feed("s tres")
            assert await other.generate() == "one two three"


async def test_a_copy_in_memory_that_is_newer_than_the_store_is_gone_on_with(translator: Served) -> None:
    replica = Replica(MemoryStore(), translator)
    session_id = await replica.open(translator, Durability(Mode.EVERY_N_STEPS, 1000))
    async with replica.talk(session_id) as talk:
        await talk.feed("uno ")
    async with replica.talk(session_id) as again:
        assert again.session is talk.session


async def test_what_is_saved_now_and_then_is_saved_when_its_stream_ends(translator: Served) -> None:
    store = MemoryStore()
    replica = Replica(store, translator)
    session_id = await replica.open(translator, Durability(Mode.EVERY_N_STEPS, 1000))
    async with replica.talk(session_id) as talk:
        await talk.feed("uno dos ")
        assert talk.session.durable_turn == 0
    await replica.settled()
    async with Replica(store, translator).talk(session_id) as talk:
        assert talk.session.standing.input_position == 2


async def test_saves_behind_are_coalesced_and_the_newest_wins(translator: Served) -> None:
    store = SlowStore()
    replica = Replica(store, translator)
    session_id = await replica.open(translator, SOMETIMES)
    async with replica.talk(session_id) as talk:
        store.may_go.clear()
        for _ in range(18):
            await talk.feed("uno ")
        assert talk.session.durable_turn == 0
        store.may_go.set()
        await replica.settled()
        assert store.num_saves <= 3
        assert talk.session.durable_turn >= 16


async def test_an_answer_waits_for_the_store_where_that_was_asked_for(translator: Served) -> None:
    store = SlowStore()
    replica = Replica(store, translator)
    session_id = await replica.open(translator)
    async with replica.talk(session_id) as talk:
        store.may_go.clear()
        feeding = asyncio.create_task(talk.feed("uno "))
        while session_id not in replica.keeper._writing:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        assert not feeding.done()
        store.may_go.set()
        await feeding
        assert talk.session.durable_turn == 1


async def test_a_caller_who_leaves_in_the_middle_of_a_save_leaves_a_whole_one(translator: Served) -> None:
    store = SlowStore()
    replica = Replica(store, translator)
    session_id = await replica.open(translator)
    async with replica.talk(session_id) as talk:
        store.may_go.clear()
        feeding = asyncio.create_task(talk.feed("uno "))
        while session_id not in replica.keeper._writing:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        feeding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await feeding
    store.may_go.set()
    await replica.settled()
    async with Replica(store, translator).talk(session_id) as talk:
        assert talk.session.log.next_turn == 1
        assert await talk.generate() == "one"


async def test_an_output_goes_on_elsewhere_in_the_middle(translator: Served) -> None:
    store = MemoryStore()
    first, second = Replica(store, translator), Replica(store, translator)
    session_id = await first.open(translator)
    async with first.talk(session_id) as talk:
        await talk.feed("uno dos tres cuatro")
        engine = engine_of(translator)
        engine.hold()
        engine.let(3)
        answers = Conversation(talk.session, LIMITS).generate(DecodingOptions())
        first_word = await anext(answers)
        await first.sessions.moved_on(talk.session)
        async with second.talk(session_id) as other:
            engine.let_go()
            assert other.session.unfinished is not None
            assert first_word.tokens[0].piece == "one"
            assert await other.generate(turn=1) == "one two three four"
        await answers.aclose()


async def test_rewinding_after_a_resume_elsewhere(translator: Served) -> None:
    store = MemoryStore()
    first, second = Replica(store, translator, stored_turns=2), Replica(store, translator)
    session_id = await first.open(translator)
    async with first.talk(session_id) as talk:
        for word in ("uno ", "dos ", "tres "):
            await talk.feed(word)
    async with second.talk(session_id) as talk:
        await talk.rewind(1)
        assert await talk.generate() == "one two"


async def test_a_fork_is_in_the_store_too(translator: Served) -> None:
    store = MemoryStore()
    first, second = Replica(store, translator), Replica(store, translator)
    session_id = await first.open(translator)
    async with first.talk(session_id) as talk:
        await talk.feed("uno ")
        fork = await first.sessions.fork(talk.session)
        await talk.feed("dos ")
    async with second.talk(fork.id) as talk:
        await talk.feed("tres ")
        assert await talk.generate() == "one three"


async def test_a_closed_session_is_gone_everywhere(translator: Served) -> None:
    store = MemoryStore()
    first, second = Replica(store, translator), Replica(store, translator)
    session_id = await first.open(translator)
    async with first.talk(session_id) as talk, second.talk(session_id) as other:
        await second.sessions.close(other.session)
        with pytest.raises(Parted) as parted:
            await talk.feed("uno ")
        assert parted.value.why is Why.CLOSED
    for replica in (first, second):
        with pytest.raises(SessionNotFound):
            async with replica.talk(session_id):
                pass


async def test_an_old_copy_in_memory_does_not_bring_a_closed_session_back(translator: Served) -> None:
    store = MemoryStore()
    first, second = Replica(store, translator), Replica(store, translator)
    session_id = await first.open(translator)
    async with first.talk(session_id) as talk:
        await talk.feed("uno ")
    await first.settled()
    async with second.talk(session_id) as talk:
        await second.sessions.close(talk.session)
    with pytest.raises(SessionNotFound):
        async with first.talk(session_id):
            pass
    assert session_id not in first.table


async def test_another_owner_finds_nothing_in_the_store(translator: Served) -> None:
    store = MemoryStore()
    first, second = Replica(store, translator), Replica(store, translator)
    session_id = await first.open(translator, owner="alice")
    with pytest.raises(SessionNotFound):
        async with second.talk(session_id, owner="bob"):
            pass
    async with first.talk(session_id, owner="alice") as talk:
        await talk.feed("uno ")


async def test_without_durability_nothing_is_written(translator: Served) -> None:
    store = MemoryStore()
    replica = Replica(store, translator)
    session_id = await replica.open(translator, NEVER)
    async with replica.talk(session_id) as talk:
        await talk.feed("uno ")
        with pytest.raises(NotPossible):
            await replica.sessions.save(talk.session)
    assert not store._rows
    async with replica.talk(session_id) as talk:
        assert await talk.generate() == "one"


async def test_a_store_that_is_away_does_not_stop_a_session(translator: Served) -> None:
    store = SlowStore()
    replica = Replica(store, translator)
    session_id = await replica.open(translator)
    async with replica.talk(session_id) as talk:
        await talk.feed("uno ")
        store.is_away = True
        await talk.feed("dos ")
        assert talk.session.durable_turn == 1
    async with replica.talk(session_id) as talk:
        await talk.feed("tres ")
        store.is_away = False
        await replica.sessions.upkeep()
        await replica.settled()
        assert talk.session.durable_turn == 3
    async with Replica(store, translator).talk(session_id) as talk:
        assert await talk.generate() == "one two three"


async def test_how_long_a_session_has_waited_for_the_store_is_told_until_it_is_saved(
    translator: Served,
) -> None:
    store = SlowStore()
    replica = Replica(store, translator)
    value = replica.metrics.registry.get_sample_value
    session_id = await replica.open(translator)
    async with replica.talk(session_id) as talk:
        assert value("seqserve_save_lag_seconds") == 0
        store.is_away = True
        await talk.feed("uno ")
        await replica.settled()
        assert value("seqserve_sessions_unsaved") == 1
        earlier = value("seqserve_save_lag_seconds") or 0
        await asyncio.sleep(0.01)
        assert (value("seqserve_save_lag_seconds") or 0) > earlier > 0
        store.is_away = False
        await replica.sessions.upkeep()
        await replica.settled()
        assert value("seqserve_save_lag_seconds") == value("seqserve_sessions_unsaved") == 0


async def test_a_store_that_is_away_stops_a_session_where_that_was_chosen(translator: Served) -> None:
    store = SlowStore()
    replica = Replica(store, translator, serves_on=False)
    session_id = await replica.open(translator)
    async with replica.talk(session_id) as talk:
        store.is_away = True
        with pytest.raises(StoreAway):
            await talk.feed("uno ", turn=0)
        with pytest.raises(StoreAway):
            replica.sessions.check_store(talk.session)
        store.is_away = False
        await replica.sessions.upkeep()
        replica.sessions.check_store(talk.session)
        await talk.feed("uno ", turn=0)
        assert await talk.generate() == "one"


async def test_a_store_that_lost_everything_gets_it_back(translator: Served) -> None:
    store = MemoryStore()
    replica = Replica(store, translator)
    session_id = await replica.open(translator)
    async with replica.talk(session_id) as talk:
        await talk.feed("uno ")
        store._rows.clear()
        await talk.feed("dos ")
        assert talk.session.epoch == 3
    async with Replica(store, translator).talk(session_id) as talk:
        assert await talk.generate() == "one two"


async def test_sealed_snapshots_need_the_key(translator: Served) -> None:
    store, ring = MemoryStore(), Keyring.random()
    first = Replica(store, translator, ring=ring)
    session_id = await first.open(translator)
    async with first.talk(session_id) as talk:
        await talk.feed("uno ")
    await first.settled()
    assert b"toy-es-en" not in (store._rows[session_id].data or b"")
    with pytest.raises(SnapshotRefused):
        async with Replica(store, translator).talk(session_id):
            pass
    async with Replica(store, translator, ring=ring).talk(session_id) as talk:
        assert await talk.generate() == "one"


async def test_memory_makes_room_by_putting_out_what_is_whole_in_the_store(translator: Served) -> None:
    store = MemoryStore()
    replica = Replica(store, translator, max_sessions=2)
    ids = []
    for _ in range(6):
        ids.append(await replica.open(translator))
        async with replica.talk(ids[-1]) as talk:
            await talk.feed("uno ")
    assert len(replica.table) == 2
    for session_id in ids:
        async with replica.talk(session_id) as talk:
            assert await talk.generate() == "one"
