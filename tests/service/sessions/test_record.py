"""A session that was written down and read again is the same, bit for bit."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.config import SessionSettings
from service.errors import SnapshotRefused
from service.registry import Served
from service.sessions import Durability, Mode, Reading, Session, Standing
from service.sessions.record import from_snapshot, to_snapshot
from service.sessions.snapshot import Snapshot, decode, encode
from service.step import Arrays
from service.tasks.conversation import Conversation
from tests.fakes.replica import LIMITS
from tests.service.tasks.test_conversation import generated

SETTINGS = SessionSettings(stored_turns=3)


async def a_session(served: Served, num_words: int = 5) -> Session:
    session = Session("id", "alice", served, 60.0, durability=Durability(Mode.EVERY_N_STEPS, 4), epoch=7)
    for word in ("uno ", "dos ", "tres ", "cuatro ", "cin")[:num_words]:
        await Conversation(session, LIMITS).feed(word)
    return session


def through_bytes(session: Session, settings: SessionSettings = SETTINGS) -> Session:
    snapshot = decode(encode(to_snapshot(session, settings, 1000.0)))
    return from_snapshot(snapshot, session.id, session.owner, session.served, settings)


def contexts(standing: Standing) -> Arrays:
    return standing.reading.context({"memory": 0})


def assert_same(one: Standing, other: Standing) -> None:
    assert replace(one, reading=other.reading) == other
    for arrays, others in (
        (contexts(one), contexts(other)),
        (one.reading.state, other.reading.state),
        (one.reading.outputs, other.reading.outputs),
    ):
        assert arrays.keys() == others.keys()
        assert all(np.array_equal(arrays[name], others[name]) for name in arrays)


async def test_everything_is_there_again(translator: Served) -> None:
    session = await a_session(translator)
    back = through_bytes(session)
    assert_same(back.standing, session.standing)
    assert (back.id, back.owner, back.ttl_s, back.durability) == ("id", "alice", 60.0, session.durability)
    assert (back.log.next_turn, back.durable_turn, back.steps) == (5, 5, 0)
    assert [(t.number, t.digest, t.answer) for t in back.log] == [
        (t.number, t.digest, t.answer) for t in session.log
    ]


async def test_some_of_the_standings_are_there_again(translator: Served) -> None:
    session = await a_session(translator)
    back = through_bytes(session)
    kept = {turn.number: turn.standing for turn in back.log if turn.standing}
    assert list(kept) == [2, 3, 4]
    for number, standing in kept.items():
        assert_same(standing, session.log.standing_after(number))


async def test_it_says_the_same_as_the_one_that_was_never_written_down(translator: Served) -> None:
    session = await a_session(translator)
    back = through_bytes(through_bytes(session))
    (one, other) = [await generated(Conversation(each, LIMITS)) for each in (back, session)]
    assert one[-1].hypotheses == other[-1].hypotheses
    assert [t for answer in one for t in answer.tokens] == [t for answer in other for t in answer.tokens]


async def test_what_standings_share_is_written_once(translator: Served) -> None:
    session = await a_session(translator, num_words=4)
    memory = [array for array in to_snapshot(session, SETTINGS, 0.0).arrays.values() if array.size == 4]
    assert len(memory) == 1


async def test_standings_of_other_texts_have_their_own_contexts(translator: Served) -> None:
    session = await a_session(translator)
    await generated(Conversation(session, LIMITS))
    await Conversation(session, LIMITS).feed("nueve ocho ")
    back = through_bytes(session)
    for turn in back.log:
        if turn.standing:
            assert_same(turn.standing, session.log.standing_after(turn.number))


@pytest.mark.parametrize(
    "changes",
    [
        {"session_id": "other"},
        {"owner": "bob"},
        {"version": "2"},
        {"model": "other"},
        {"manifest_hash": "0" * 64},
    ],
)
async def test_a_snapshot_of_something_else_is_refused(translator: Served, changes: dict[str, Any]) -> None:
    snapshot = replace(to_snapshot(await a_session(translator), SETTINGS, 0.0), **changes)
    with pytest.raises(SnapshotRefused):
        from_snapshot(snapshot, "id", "alice", translator, SETTINGS)


@pytest.mark.parametrize(
    "missing", ["standing", "turns", "next_turn", "durability", "standings", "unfinished"]
)
async def test_facts_that_make_no_sense_are_refused(translator: Served, missing: str) -> None:
    snapshot = to_snapshot(await a_session(translator), SETTINGS, 0.0)
    for facts in (
        {name: fact for name, fact in snapshot.facts.items() if name != missing},
        {**snapshot.facts, missing: {"x": 1}},
    ):
        broken: Snapshot = replace(snapshot, facts=facts)
        with pytest.raises(SnapshotRefused):
            from_snapshot(broken, "id", "alice", translator, SETTINGS)


def test_contexts_are_joined_however_many_pieces_there_are() -> None:
    assert Reading({}, ({"a": np.zeros(1)}, {"a": np.ones(2)}), {}, 3).context({"a": 0})["a"].shape == (3,)
