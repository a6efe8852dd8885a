"""Whose a session is: the server that claimed it last has it, and learns it when another one does."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from service.registry import Served
from service.sessions import Durability, Mode, Parted, Session, Why
from service.sessions.stores.memory import MemoryStore
from tests.fakes.replica import Replica
from tests.fakes.slow_stores import LateStore, SlowStore, Unanswering
from tests.fakes.toy_translator import translated

RARELY = Durability(Mode.EVERY_N_STEPS, 1000)


async def test_the_server_that_lost_a_session_finds_out_and_writes_nothing(translator: Served) -> None:
    store = MemoryStore()
    first, second = Replica(store, translator), Replica(store, translator)
    session_id = await first.open(translator)
    async with first.talk(session_id) as talk:
        await talk.feed("uno ")
        async with second.talk(session_id) as other:
            await other.feed("dos ")
        with pytest.raises(Parted) as parted:
            await talk.feed("nueve ")
        assert parted.value.why is Why.CLAIMED
        with pytest.raises(Parted), talk.holding.giving_way():
            await asyncio.sleep(60)
    assert session_id not in first.table
    async with first.talk(session_id) as talk:
        assert await talk.generate() == "one two"


async def test_an_idle_stream_is_told_when_its_session_is_kept_alive(translator: Served) -> None:
    store = MemoryStore()
    first, second = Replica(store, translator), Replica(store, translator)
    session_id = await first.open(translator)
    async with first.talk(session_id) as talk:
        async with second.talk(session_id):
            pass
        await second.settled()
        talk.session.stored_at = -1e9
        await first.sessions.upkeep()
        with pytest.raises(Parted) as parted, talk.holding.giving_way():
            await asyncio.sleep(60)
    assert parted.value.why is Why.CLAIMED


async def test_two_servers_claim_at_one_moment_and_one_history_survives(translator: Served) -> None:
    store = MemoryStore()
    replicas = [Replica(store, translator) for _ in range(4)]
    session_id = await replicas[0].open(translator)
    words = ["uno ", "dos ", "tres ", "cuatro "]
    done: list[str] = []

    async def claim_and_write(replica: Replica, word: str) -> None:
        async with replica.talk(session_id) as talk:
            await asyncio.sleep(0)
            await talk.feed(word)
            done.append(word)

    results = await asyncio.gather(*map(claim_and_write, replicas, words), return_exceptions=True)
    assert all(result is None or isinstance(result, Parted) for result in results)
    async with Replica(store, translator).talk(session_id) as talk:
        text = await talk.generate()
    assert text in {translated(word) for word in words} | {translated("".join(done))}
    assert done


async def test_a_copy_in_memory_is_not_gone_on_with_after_another_server_had_it(translator: Served) -> None:
    store = MemoryStore()
    first, second = Replica(store, translator), Replica(store, translator)
    session_id = await first.open(translator)
    async with first.talk(session_id) as talk:
        await talk.feed("uno ")
    await first.settled()
    async with second.talk(session_id) as talk:
        await talk.feed("dos ")
    await second.settled()
    assert session_id in first.table
    async with first.talk(session_id) as talk:
        assert talk.session.standing.input_position == 2
        assert await talk.generate() == "one two"


async def test_a_save_that_is_under_way_when_another_server_claims_is_refused(translator: Served) -> None:
    store = SlowStore()
    first, second = Replica(store, translator), Replica(store, translator)
    session_id = await first.open(translator, Durability(Mode.EVERY_N_STEPS, 1))
    async with first.talk(session_id) as talk:
        store.may_go.clear()
        await talk.feed("uno ")
        await asyncio.sleep(0)
        claimed = await MemoryStore.claim(store, session_id, "")
        store.may_go.set()
        await first.settled()
        with pytest.raises(Parted), talk.holding.giving_way():
            await asyncio.sleep(60)
        assert claimed.epoch == 3
    async with second.talk(session_id) as talk:
        assert talk.session.log.next_turn == 0


async def test_a_stream_that_lets_go_late_of_a_session_it_has_lost_does_not_take_it_from_who_has_it_now(
    translator: Served,
) -> None:
    """It went to another server and came back, while its first stream was still in the middle of something."""
    store = SlowStore()
    first, second = Replica(store, translator), Replica(store, translator)
    session_id = await first.open(translator, RARELY)
    async with AsyncExitStack() as late:
        lost = await late.enter_async_context(first.talk(session_id))
        await lost.feed("uno ")
        async with second.talk(session_id) as elsewhere:
            await elsewhere.feed("dos ")
        with pytest.raises(Parted):
            await first.sessions.save(lost.session)
        async with first.talk(session_id) as back:
            await back.feed("tres ")
            store.may_go.clear()
            await late.aclose()
            saving = asyncio.create_task(first.sessions.save(back.session))
            await asyncio.sleep(0)
            store.may_go.set()
            await saving
            assert await back.generate() == "two three"
    await first.settled()


async def test_a_claim_whose_answer_is_lost_does_not_cost_a_server_its_session(translator: Served) -> None:
    store = Unanswering()
    replica = Replica(store, translator)
    session_id = await replica.open(translator)
    async with replica.talk(session_id) as talk:
        await talk.feed("uno ")
    await replica.settled()
    store.answers = False
    for _ in range(3):
        async with replica.talk(session_id) as talk:
            await talk.feed("dos ")
            assert talk.session.durable_turn == talk.session.log.next_turn
    store.answers, kept = True, talk.session
    async with replica.talk(session_id) as talk:
        assert talk.session is kept
        assert await talk.generate() == "one two two two"


async def test_a_claim_that_takes_place_late_does_not_cost_a_server_its_session(translator: Served) -> None:
    store = Unanswering()
    replica = Replica(store, translator)
    session_id = await replica.open(translator)
    store.takes_place = False
    async with replica.talk(session_id) as talk:
        await talk.feed("uno ")
        assert talk.session.durable_turn == 1
        await store.take_place()
        await talk.feed("dos ")
        assert talk.session.durable_turn == 2
        await store.take_place()  # as if it had been sent twice
        talk.session.stored_at = -1e9
        await replica.sessions.upkeep()
        await replica.settled()
        assert await talk.generate() == "one two"
    await replica.settled()


async def test_a_stream_that_only_waits_keeps_its_session_when_its_claim_takes_place_late(
    translator: Served,
) -> None:
    store = Unanswering()
    replica = Replica(store, translator)
    session_id = await replica.open(translator)
    store.takes_place = False
    async with replica.talk(session_id) as talk:
        await store.take_place()
        talk.session.stored_at = -1e9
        await replica.sessions.upkeep()
        await replica.settled()
        await talk.feed("uno ")
        assert (talk.session.lost, talk.session.durable_turn) == (None, 1)


@pytest.mark.parametrize("order", ["before", "after", "never"])
async def test_an_unanswered_claim_takes_nothing_back_from_a_server_that_claimed_too(
    translator: Served, order: str
) -> None:
    store = Unanswering()
    first, second = Replica(store, translator), Replica(store, translator)
    session_id = await first.open(translator)
    async with first.talk(session_id) as talk:
        await talk.feed("uno ")
    await first.settled()
    store.takes_place = False
    async with first.talk(session_id) as talk:
        store.takes_place = True
        if order == "before":
            await store.take_place()
        async with second.talk(session_id) as other:
            if order == "after":
                await store.take_place()
            else:
                await other.feed("dos ")
            with pytest.raises(Parted) as parted:
                await talk.feed("nueve ")
            assert parted.value.why is Why.CLAIMED
    await first.settled()
    await second.settled()
    async with Replica(store, translator).talk(session_id) as talk:
        assert await talk.generate() == ("one" if order == "after" else "one two")


async def test_a_claim_that_its_asker_left_is_not_held_against_the_next_one(translator: Served) -> None:
    """The client's connection breaks while its server claims; the claim takes place."""
    store = LateStore()
    replica = Replica(store, translator)
    session = await idle(replica, translator)
    async with asyncio.timeout(100):
        leaver = await claiming(replica, session, store)
        leaver.cancel()
        await asyncio.gather(leaver, return_exceptions=True)
    store.claims_late = False
    async with replica.talk(session.id) as talk:
        assert talk.session is session
        assert await talk.generate() == "one"


async def test_a_save_between_a_claim_and_its_answer_is_written(translator: Served) -> None:
    store = LateStore()
    replica = Replica(store, translator)
    session = await idle(replica, translator)
    resuming = await claiming(replica, session, store)
    replica.keeper.touch(session)
    await replica.settled()
    assert session.lost is None
    store.claims_late = False
    store.may_tell_claims.set()
    await resuming
    async with replica.talk(session.id) as again:
        assert again.session is session


async def test_a_save_that_is_refused_because_of_a_claim_that_was_answered_meanwhile_is_written(
    translator: Served,
) -> None:
    store = LateStore()
    replica = Replica(store, translator)
    session = await idle(replica, translator)
    resuming = await claiming(replica, session, store)
    store.fences_late = True
    saving = asyncio.create_task(replica.keeper.save(session))
    await store.has_fenced.wait()
    store.claims_late = False
    store.may_tell_claims.set()
    await resuming
    store.may_tell_fences.set()
    await saving
    assert (await store.describe(session.id, "")).revision == session.revision
    async with replica.talk(session.id) as again:
        assert again.session is session


async def idle(replica: Replica, served: Served) -> Session:
    """A session that nobody holds, and that is whole in the store."""
    session_id = await replica.open(served, RARELY)
    async with replica.talk(session_id) as talk:
        await talk.feed("uno ")
    await replica.settled()
    return talk.session


async def claiming(replica: Replica, session: Session, store: LateStore) -> "asyncio.Task[None]":
    """Whoever resumes the session, as soon as his claim has taken place and is not answered."""

    async def resume() -> None:
        async with replica.talk(session.id):
            pass

    store.claims_late = True
    resuming = asyncio.create_task(resume())
    await store.has_claimed.wait()
    return resuming
