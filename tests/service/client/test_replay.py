"""What is kept and sent again, without a wire: a server of numbers that forgets, and a client that must not notice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqserve.v1.session_pb2 import SessionRequest
from service.client import SessionLost, requests
from service.client.replay import NUM_SPARE_TURNS, Replay

WHERE = (0, 0)


def asked(text: str) -> SessionRequest:
    return requests.feed(text, end_of_input=False)


def done(replay: Replay, text: str) -> None:
    replay.begin(asked(text))
    replay.answered((replay.next_turn + 1, 0))


def durable() -> Replay:
    replay = Replay()
    replay.durable = True
    return replay


def test_turns_are_numbered_and_kept() -> None:
    replay = durable()
    for text in "abc":
        done(replay, text)
    assert [turn.message().turn for turn in replay] == [0, 1, 2]
    assert [turn.number for turn in replay.opened(1, WHERE)] == [1, 2]


def test_nothing_is_kept_where_nothing_is_written_down() -> None:
    replay = Replay()
    done(replay, "a")
    assert list(replay) == []
    assert replay.opened(1, WHERE) == []
    with pytest.raises(SessionLost):
        replay.opened(0, WHERE)


def test_what_is_in_the_store_is_kept_for_a_while_longer() -> None:
    replay = durable()
    for index in range(NUM_SPARE_TURNS + 10):
        done(replay, str(index))
    replay.written_down(NUM_SPARE_TURNS + 5)
    assert next(iter(replay)).number == 5
    assert len(replay.opened(5, WHERE)) == NUM_SPARE_TURNS + 5
    with pytest.raises(SessionLost, match="turns 3 to 4"):
        replay.opened(3, WHERE)


def test_the_same_request_again_is_the_same_turn() -> None:
    replay = durable()
    turn = replay.begin(asked("a"))
    assert replay.again(asked("a")) is turn
    assert replay.opened(1, (1, 0)) == []
    replay.answered((1, 0))
    assert replay.next_turn == 1


@pytest.mark.parametrize(("next_turn", "number"), [(0, 0), (1, 1)])
def test_another_request_gives_up_the_one_in_doubt(next_turn: int, number: int) -> None:
    replay = durable()
    replay.begin(asked("a"))
    assert replay.again(asked("b")) is None
    assert replay.opened(next_turn, (next_turn, 0)) == []
    assert replay.begin(asked("b")).number == number


def test_a_session_that_others_went_on_with_is_taken_as_it_is() -> None:
    replay = durable()
    done(replay, "a")
    assert replay.opened(5, WHERE) == []
    assert replay.begin(asked("b")).number == 5


def test_an_older_server_gets_nothing_twice() -> None:
    replay = durable()
    replay.numbered = False
    done(replay, "a")
    assert replay.opened(0, WHERE) == []


def test_what_an_output_has_shown_is_not_asked_for_again() -> None:
    replay = durable()
    turn = replay.begin(requests.generate({}))
    assert not turn.message().generate.HasField("output_position")
    turn.seen = 3
    assert turn.message().generate.output_position == 3
    replay.answered((2, 7))
    assert turn.message().generate.output_position == 7


@pytest.mark.parametrize(("replay", "durable_turn"), [(Replay(max_turns=2), 1), (Replay(max_bytes=50), 2)])
def test_it_is_full_in_turns_and_in_bytes(replay: Replay, durable_turn: int) -> None:
    replay.durable = True
    fills = []
    for text in ("a" * 30, "b" * 30):
        fills.append(replay.is_full)
        done(replay, text)
    fills.append(replay.is_full)
    replay.written_down(durable_turn)
    assert [*fills, replay.is_full] == [False, False, True, False]


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["ask", "save", "crash", "lose answer"]), max_size=40))
def test_a_server_that_forgets_ends_with_every_turn_once(moves: list[str]) -> None:
    replay, server, store, texts = durable(), list[str](), list[str](), list[str]()
    for move in moves:
        if move == "save":
            store = list(server)
            replay.written_down(len(store))
            continue
        text = str(len(texts))
        texts.append(text)
        turn = replay.begin(asked(text))
        if move == "lose answer":
            server.append(text)
        if move != "ask":
            server = list(store) if move == "crash" else server
            server += [lost.request.feed.text for lost in replay.opened(len(server), WHERE)]
        if turn.number == len(server):
            server.append(text)
        replay.answered((len(server), 0))
        assert server == texts
