from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from service.workers.agreement import Agreed, Agreement
from service.workers.line import Line, Message


class Talk:
    """Both ends of the lines to three workers."""

    def __init__(self, stack: ExitStack) -> None:
        pairs = {pid: Line.pair() for pid in (1, 2, 3)}
        self.parents = {pid: stack.enter_context(closing(ours)) for pid, (ours, _) in pairs.items()}
        self.workers = {pid: stack.enter_context(closing(theirs)) for pid, (_, theirs) in pairs.items()}
        self.agreement = Agreement()
        self.agreement.begin(["a/1", "b/1"])

    def change(self, asker: int, name: str, unload_in_s: float | None) -> None:
        message = {"say": "change", "id": 70, "name": name, "version": "1", "unload_in_s": unload_in_s}
        others = {pid: line for pid, line in self.parents.items() if pid != asker}
        self.agreement.change(self.parents[asker], message, others)

    def heard(self, pid: int) -> list[Message]:
        """What a worker has been told; what was said to itself comes behind it."""
        self.parents[pid].say("end")
        messages: list[Message] = []
        while not messages or messages[-1]["say"] != "end":
            messages += self.workers[pid].hear() or []
        return messages[:-1]


@pytest.fixture
def talk() -> Iterator[Talk]:
    with ExitStack() as stack:
        yield Talk(stack)


def test_whoever_was_asked_hears_of_it_when_all_others_have_followed(talk: Talk) -> None:
    talk.change(1, "a", 30.0)
    [follow] = talk.heard(2)
    assert (follow["say"], follow["name"], follow["unload_in_s"]) == ("follow", "a", 30.0)
    talk.agreement.followed(2, follow | {"num_sessions": 4})
    assert talk.heard(1) == []
    talk.agreement.followed(3, follow | {"num_sessions": 5})
    assert talk.heard(1) == [{"say": "answered", "id": 70, "num_sessions": 9}]


def test_nobody_waits_for_a_worker_that_has_died(talk: Talk) -> None:
    talk.change(1, "a", 30.0)
    talk.agreement.forget(2)
    assert talk.heard(1) == []
    talk.agreement.forget(3)
    assert [message["say"] for message in talk.heard(1)] == ["answered"]


def test_those_begun_later_serve_what_is_agreed(talk: Talk) -> None:
    assert talk.agreement.now == Agreed(frozenset({"a/1", "b/1"}))
    talk.change(1, "a", 30.0)
    talk.change(2, "b", 0.0)
    talk.change(3, "c", None)
    now = talk.agreement.now
    assert now is not None
    assert now.served == {"c/1"}
    assert set(now.retired) == {"a/1"}
    assert 0 < now.retired["a/1"] <= 30


def test_nothing_is_agreed_before_the_first_has_loaded() -> None:
    assert Agreement().now is None
