"""When sessions end: nobody is due too soon, nobody is forgotten, and no more is done than there is to do."""

from hypothesis import given
from hypothesis import strategies as st

from service.sessions.deadlines import Deadlines


def test_a_key_is_due_within_a_second_after_its_time() -> None:
    deadlines = Deadlines()
    deadlines.add("a", 10.2)
    assert deadlines.due(10.1, 10) == []
    assert deadlines.due(11.2, 10) == ["a"]
    assert deadlines.due(100, 10) == []


def test_a_key_that_was_removed_is_never_due() -> None:
    deadlines = Deadlines()
    bucket = deadlines.add("a", 10)
    deadlines.add("b", 10)
    deadlines.remove("a", bucket)
    deadlines.remove("a", bucket)
    assert deadlines.due(10, 10) == ["b"]
    deadlines.remove("b", bucket)


def test_what_is_due_comes_in_pieces() -> None:
    deadlines = Deadlines()
    for number in range(25):
        deadlines.add(str(number), number / 10)
    pieces = [deadlines.due(3, 10) for _ in range(4)]
    assert [len(piece) for piece in pieces] == [10, 10, 5, 0]
    assert [key for piece in pieces for key in piece] == [str(number) for number in range(25)]


def test_the_first_deadline_is_known_when_those_before_are_gone() -> None:
    deadlines = Deadlines()
    assert deadlines.first() is None
    bucket = deadlines.add("a", 10)
    deadlines.add("b", 20)
    assert deadlines.first() == 10
    deadlines.remove("a", bucket)
    assert deadlines.first() == 20


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "remove", "due"]), st.integers(0, 9), st.floats(0, 50)), max_size=60
    )
)
def test_any_history_equals_a_list_that_is_searched(history: list[tuple[str, int, float]]) -> None:
    deadlines, buckets = Deadlines(), dict[str, int]()
    now = 0.0
    for what, number, seconds in history:
        key = str(number)
        if what == "add" and key not in buckets:
            buckets[key] = deadlines.add(key, now + seconds)
        elif what == "remove" and key in buckets:
            deadlines.remove(key, buckets.pop(key))
        elif what == "due":
            now += seconds
            due = {key for key, bucket in buckets.items() if bucket <= now}
            assert set(deadlines.due(now, 100)) == due
            buckets = {key: bucket for key, bucket in buckets.items() if key not in due}
        assert len(deadlines) == len(buckets)
        first = deadlines.first()
        assert first == (min(buckets.values()) if buckets else None)
