"""Exactly once: what the log of turns answers again, refuses, and forgets."""

from dataclasses import replace

import pytest

from service.config import SessionSettings
from service.errors import OutOfRange, TurnConflict
from service.sessions import NEW, Session, TurnLog, Unfinished

SETTINGS = SessionSettings(kept_turns=2, kept_answers=4, kept_outputs=10)


def log_of(num_turns: int, num_outputs: int = 0) -> TurnLog:
    log = TurnLog(SETTINGS)
    for number in range(num_turns):
        log.add(f"digest {number}", f"answer {number}", replace(NEW, input_position=number), num_outputs)
    return log


def test_the_next_turn_is_to_be_run() -> None:
    log = log_of(3)
    assert log.find(3, "anything") is None
    assert log.find(None, "digest 2") is None


def test_a_turn_that_was_done_is_found() -> None:
    turn = log_of(3).find(1, "digest 1")
    assert turn is not None
    assert (turn.number, turn.answer) == (1, "answer 1")


def test_another_request_with_a_turn_that_was_done_is_a_conflict() -> None:
    with pytest.raises(TurnConflict) as refused:
        log_of(3).find(1, "digest 2")
    assert refused.value.metadata == {"next_turn": "3"}


@pytest.mark.parametrize("number", [4, 1000, 1, 0, -1])
def test_a_gap_and_a_turn_too_long_ago_are_out_of_range(number: int) -> None:
    log = log_of(6)
    assert log.find(2, "digest 2")
    with pytest.raises(OutOfRange) as refused:
        log.find(number if number != 4 else 7, "")
    assert refused.value.metadata == {"next_turn": "6"}


def test_the_log_is_bounded() -> None:
    log = log_of(100)
    assert [turn.number for turn in log] == [96, 97, 98, 99]
    assert [turn.standing is not None for turn in log] == [False, False, True, True]


def test_outputs_are_bounded_and_the_newest_answer_is_always_there() -> None:
    assert [turn.number for turn in log_of(4, num_outputs=4)] == [2, 3]
    assert [turn.number for turn in log_of(4, num_outputs=1000)] == [3]


def test_only_kept_standings_can_be_gone_back_to() -> None:
    log = log_of(5)
    assert log.standing_after(3).input_position == 3
    for number in (2, -1, 5):
        with pytest.raises(OutOfRange, match="3, 4"):
            log.standing_after(number)


def test_a_copy_goes_on_by_itself() -> None:
    log = log_of(2)
    copy = log.copy()
    copy.add("x", "y", NEW)
    copy.add("x", "y", NEW)
    assert (log.next_turn, len(list(log)), log.standing_after(0).input_position) == (2, 2, 0)
    assert copy.next_turn == 4


def test_what_was_begun_is_not_replaced_unless_it_is_given_up() -> None:
    session = Session("id", "", None, 60)  # type: ignore[arg-type]  # nobody asks for its model
    session.unfinished = Unfinished("begun")
    assert session.check_turn(0, "begun") is None
    assert session.check_turn(None, "other") is None
    with pytest.raises(TurnConflict):
        session.check_turn(0, "other")
    session.accept("other", "{}", NEW)
    assert session.unfinished is None
