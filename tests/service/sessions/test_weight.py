"""What the account says of a session's memory, beside what is really allocated."""

import gc
import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from service.config import SessionSettings
from service.registry import Served
from service.sessions import NEW, NOTHING_READ, Session, SessionTable, Standing, Turn, Unfinished
from service.sessions.durability import NEVER, Durability, Mode
from service.sessions.plain import Plain
from service.sessions.record import turn_to
from service.sessions.weight import weight_of
from service.step import Result

SETTINGS = SessionSettings(max_sessions=10_000)
NUM = 300
FLOATS = 512


def fed(session: Session, size: int = FLOATS) -> None:
    """A turn with a state of two arrays, and a context of a twentieth of that."""
    state = {name: np.random.rand(size).astype(np.float32) for name in "hc"}
    result = Result(
        {"log_probs": np.zeros(7, np.float32)}, state, {"memory": np.zeros(size // 20, np.float32)}
    )
    reading = session.standing.reading.then(result, 1)
    number = session.log.next_turn
    standing = replace(
        session.standing, reading=reading, pending={"pending": f"{number}"}, input_position=number
    )
    session.accept(f"{number:032x}", json.dumps([number, ["xxx", "yyyyyyyy"] * 12]), standing)


@pytest.mark.parametrize("durability", [NEVER, Durability(Mode.EVERY_STEP)], ids=["memory", "store"])
@pytest.mark.parametrize(("num_turns", "size"), [(0, FLOATS), (1, FLOATS), (8, FLOATS), (40, 16)])
def test_the_account_is_close_to_what_is_allocated(num_turns: int, size: int, durability: Durability) -> None:
    def talked(table: SessionTable) -> None:
        session = table.open("", None)  # type: ignore[arg-type]  # nobody asks for its model
        session.durability = durability
        for _ in range(num_turns):
            fed(session, size)
        for turn in session.log:
            turn_to(turn, durability)

    talked(SessionTable(SETTINGS))  # what is imported, or made, only once
    table = SessionTable(SETTINGS)

    def all_talked() -> None:
        for _ in range(NUM):
            talked(table)

    allocated = measured(all_talked) / NUM
    account = sum(map(weight_of, table.unpacked())) / NUM
    assert account == pytest.approx(allocated, rel=0.15)


def measured(build: Callable[[], None]) -> int:
    """Bytes that are allocated more than before."""
    gc.collect()
    tracemalloc.start()
    try:
        build()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def session_with(*standings: Standing) -> Session:
    session = Session("id", "", None, 60)  # type: ignore[arg-type]
    for standing in standings:
        session.accept("digest", "", standing)
    return session


def standing_with(num_bytes: int, before: Standing = NEW) -> Standing:
    piece = Result({}, {}, {"memory": np.zeros(num_bytes, np.uint8)})
    return replace(before, reading=before.reading.then(piece, 1))


def test_a_context_that_standings_share_counts_once() -> None:
    first = standing_with(100_000)
    second = standing_with(50_000, first)
    alone, both = weight_of(session_with(first)), weight_of(session_with(first, second))
    assert 100_000 < alone < 105_000
    assert 150_000 < both < 155_000
    assert weight_of(session_with(first, second, first, second)) < 155_000


def test_contexts_of_two_texts_count_both() -> None:
    assert weight_of(session_with(standing_with(100_000), standing_with(50_000))) > 150_000


def test_what_was_begun_counts_while_it_is_unfinished() -> None:
    session = session_with(NEW)
    before = weight_of(session)
    session.unfinished = Unfinished("digest", Plain({}, {"h": np.zeros(10_000)}))
    assert 80_000 < weight_of(session) - before < 81_000


def test_turns_that_are_forgotten_weigh_nothing() -> None:
    session = Session("id", "", None, 60)  # type: ignore[arg-type]
    weights = []
    for _ in range(100):
        fed(session, 64)
        session.standing = replace(session.standing, reading=NOTHING_READ)
        weights.append(weight_of(session))
    assert weights[-1] == pytest.approx(weights[40], rel=0.02)


def test_a_log_knows_how_long_its_answers_are() -> None:
    session = Session("id", "", None, 60)  # type: ignore[arg-type]
    for _ in range(100):
        fed(session)
    turns: list[Turn] = list(session.log)
    assert session.log.answer_bytes == sum(len(turn.answer) for turn in turns)
    assert session.log.copy().answer_bytes == session.log.answer_bytes


def test_a_table_knows_the_weight_of_all(translator: Served) -> None:
    table = SessionTable(SETTINGS)
    sessions = [table.open("", translator) for _ in range(5)]
    table.close(sessions[0])
    assert table.idle_bytes == sum(map(weight_of, sessions[1:]))
    assert table.held_bytes == 0
