"""Sessions that outlive the memory they were in: another server, or the next one, goes on with them."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from service.errors import Fenced, NotPossible, SessionNotFound, SnapshotRefused, StoreAway
from service.registry import Served
from service.sessions import NEVER, Durability, Mode, Parted, Why
from service.sessions.seal import Keyring
from service.sessions.stores import Health
from service.sessions.stores.memory import MemoryStore
from service.tasks.conversation import Conversation
from service.tasks.decoding import DecodingOptions
from tests.fakes.replica import LIMITS, Replica
from tests.fakes.toy_server import engine_of
from tests.fakes.toy_translator import translated

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
    session_id = await first.open(translator, Durability(Mode.EVERY_N_STEPS, 1000))
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


class Unanswering(MemoryStore):
    """A store that does what it is asked, and whose answers to claims are lost; or that does it when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.answers, self.takes_place = True, True
        self.later: list[tuple[Any, ...]] = []

    async def claim(self, *args: Any) -> Any:
        if not self.takes_place:
            self.later.append(args)
            raise StoreAway("no answer")
        claimed = await super().claim(*args)
        if not self.answers:
            raise StoreAway("no answer")
        return claimed

    async def take_place(self) -> None:
        for args in self.later:
            await super().claim(*args)


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
    store = SlowStore()
    replica = Replica(store, translator)
    session_id = await replica.open(translator, Durability(Mode.EVERY_N_STEPS, 1000))
    async with replica.talk(session_id) as talk:
        await talk.feed("uno ")
    await replica.settled()
    kept = talk.session
    store.answers_late = True
    async with asyncio.timeout(5):
        entering = asyncio.create_task(enter(replica, session_id))
        await asyncio.sleep(0.01)
        entering.cancel()
        await asyncio.gather(entering, return_exceptions=True)
    store.answers_late = False
    async with replica.talk(session_id) as talk:
        assert talk.session is kept
        assert await talk.generate() == "one"


async def enter(replica: Replica, session_id: str) -> None:
    async with replica.talk(session_id):
        pass


async def test_a_save_between_a_claim_and_its_answer_is_written(translator: Served) -> None:
    store = SlowStore()
    replica = Replica(store, translator)
    session_id = await replica.open(translator, Durability(Mode.EVERY_N_STEPS, 1000))
    async with replica.talk(session_id) as talk:
        await talk.feed("uno ")
    await replica.settled()
    store.answers_late = True
    entering = asyncio.create_task(enter(replica, session_id))
    await asyncio.sleep(0.01)
    replica.keeper.touch(talk.session)
    await replica.settled()
    assert talk.session.lost is None
    store.answers_late = False
    store.may_answer.set()
    await entering
    async with replica.talk(session_id) as again:
        assert again.session is talk.session


async def test_a_save_that_is_refused_because_of_a_claim_that_was_answered_meanwhile_is_written(
    translator: Served,
) -> None:
    store = SlowStore()
    replica = Replica(store, translator)
    session_id = await replica.open(translator, Durability(Mode.EVERY_N_STEPS, 1000))
    async with replica.talk(session_id) as talk:
        await talk.feed("uno ")
    await replica.settled()
    store.answers_late = True
    entering = asyncio.create_task(enter(replica, session_id))
    await asyncio.sleep(0.01)
    store.fences_late = True
    saving = asyncio.create_task(replica.keeper.save(talk.session))
    await asyncio.sleep(0.01)
    store.answers_late = False
    store.may_answer.set()
    await asyncio.sleep(0.01)
    store.may_fence.set()
    await asyncio.gather(entering, saving)
    assert (await store.describe(session_id, "")).revision == talk.session.revision
    async with replica.talk(session_id) as again:
        assert again.session is talk.session


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


class SlowStore(MemoryStore):
    """A store that waits until it may go on, or is away."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.is_away = False
        self.num_saves = 0
        self.answers_late = False
        self.may_answer = asyncio.Event()
        self.fences_late = False
        self.may_fence = asyncio.Event()

    async def save(self, *args: Any, **kwargs: Any) -> int:
        await self._wait()
        self.num_saves += 1
        try:
            return await super().save(*args, **kwargs)
        except Fenced:
            if self.fences_late:
                await self.may_fence.wait()
            raise

    async def create(self, *args: Any, **kwargs: Any) -> int:
        await self._wait()
        return await super().create(*args, **kwargs)

    async def claim(self, *args: Any, **kwargs: Any) -> Any:
        await self._wait()
        claimed = await super().claim(*args, **kwargs)
        if self.answers_late:
            await self.may_answer.wait()
        return claimed

    async def touch(self, *args: Any, **kwargs: Any) -> None:
        await self._wait()
        await super().touch(*args, **kwargs)

    async def health(self) -> Any:
        return Health(not self.is_away)

    async def _wait(self) -> None:
        await self.may_go.wait()
        if self.is_away:
            raise StoreAway("away")
