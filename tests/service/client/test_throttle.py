"""What is sent to a server that refuses, in virtual time and with chosen chance."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.client import HoldingBack, InvalidRequest
from service.client.throttle import Slot, Throttle

CERTAINLY = 0.0
"""A chance that holds back whatever may be held back."""
MOST_ROOM = 20.0


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Caller:
    """Who asks a server at a steady rate, in virtual time; the server takes some and refuses the others."""

    throttle: Throttle
    clock: Clock
    per_s: float
    sent: int = 0
    taken: int = 0
    asked: int = 0
    room: float = 0.0
    """For so many more calls, at this moment: a server has a queue, which takes in what comes unevenly."""

    def ask(self, seconds: float, taken_per_s: float) -> None:
        self.sent = self.taken = self.asked = 0
        for _ in range(round(seconds * self.per_s)):
            self.clock.now += 1 / self.per_s
            self.room = min(self.room + taken_per_s / self.per_s, MOST_ROOM)
            self.asked += 1
            if (slot := self.throttle.ask()) is None:
                continue
            self.sent += 1
            if self.room >= 1.0:
                self.room -= 1.0
                self.taken += 1
            else:
                self.throttle.refused(slot)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def caller(clock: Clock, settings: HoldingBack, per_s: float, seed: int = 0) -> Caller:
    return Caller(Throttle(settings, clock, random.Random(seed).random), clock, per_s)


def slots_of(throttle: Throttle, number: int) -> Iterator[Slot]:
    """Those of calls that are let through."""
    for _ in range(number):
        slot = throttle.ask()
        assert slot is not None
        yield slot


SETTINGS = st.builds(
    HoldingBack,
    ratio=st.floats(1.0, 4.0),
    window_s=st.floats(0.1, 120.0),
    free=st.integers(0, 20),
    after_s=st.just(0.0),
)
AT_ONCE = HoldingBack(ratio=1.0, free=0, after_s=0.0)


@given(settings=SETTINGS, pauses=st.lists(st.floats(0.0, 100.0), max_size=60))
def test_where_nothing_is_refused_nothing_is_held_back(settings: HoldingBack, pauses: list[float]) -> None:
    clock = Clock()
    throttle = Throttle(settings, clock, lambda: CERTAINLY)
    for pause in pauses:
        clock.now += pause
        assert throttle.ask() is not None


@given(settings=SETTINGS)
def test_as_many_as_are_free_are_never_held_back(settings: HoldingBack) -> None:
    throttle = Throttle(settings, Clock(), lambda: CERTAINLY)
    for slot in slots_of(throttle, settings.free + 1):
        throttle.refused(slot)
    assert throttle.ask() is None


@given(settings=SETTINGS, taken=st.integers(0, 100), refused=st.integers(0, 100))
def test_the_share_that_is_held_back_is_the_formula_s(
    settings: HoldingBack, taken: int, refused: int
) -> None:
    asked = taken + refused
    share = max(0.0, (asked - settings.ratio * taken - settings.free) / (asked + 1))
    for chance in (chance for chance in (share - 1e-9, share + 1e-9) if 0 <= chance < 1):
        throttle = Throttle(settings, Clock(), lambda chance=chance: chance)  # type: ignore[misc]
        for number in range(asked):
            slot = throttle.send()
            if number >= taken:
                throttle.refused(slot)
        assert (throttle.ask() is None) == (chance < share)


@given(settings=SETTINGS, refused=st.integers(1, 200))
def test_after_a_window_all_is_forgotten(settings: HoldingBack, refused: int) -> None:
    clock = Clock()
    throttle = Throttle(settings, clock, lambda: CERTAINLY)
    for _ in range(refused):
        throttle.refused(throttle.send())
    clock.now += settings.window_s * 1.001
    assert throttle.ask() is not None


def test_what_was_held_back_counts_as_asked(clock: Clock) -> None:
    """Else more would be sent, the more is asked."""
    chances = iter([0.0, 0.0, 0.6])
    throttle = Throttle(AT_ONCE, clock, lambda: next(chances))
    throttle.refused(next(slots_of(throttle, 1)))
    assert throttle.ask() is None
    assert throttle.ask() is None  # 2 of 3


def test_a_crowd_is_not_held_back_for_what_nobody_knows_yet(clock: Clock) -> None:
    throttle = Throttle(HoldingBack(), clock, lambda: CERTAINLY)
    assert len(list(slots_of(throttle, 1000))) == 1000


def test_what_is_refused_late_counts_where_it_was_asked(clock: Clock) -> None:
    throttle = Throttle(replace(AT_ONCE, window_s=2.0), clock, lambda: CERTAINLY)
    slow = list(slots_of(throttle, 10))
    clock.now += 3.0
    for slot in slow:
        throttle.refused(slot)
    assert throttle.ask() is not None


def test_what_must_go_on_is_sent_and_counted(clock: Clock) -> None:
    throttle = Throttle(AT_ONCE, clock, lambda: CERTAINLY)
    throttle.refused(throttle.send())
    assert throttle.ask() is None
    for _ in range(2):
        throttle.refused(throttle.send())
    clock.now += 0.1
    assert throttle.ask() is None


@pytest.mark.parametrize("times", [2, 5, 10, 50])
@pytest.mark.parametrize("ratio", [1.1, 1.5, 2.0])
def test_a_server_is_sent_so_many_times_what_it_takes(clock: Clock, times: int, ratio: float) -> None:
    settings = HoldingBack(ratio=ratio)
    one = caller(clock, settings, per_s=100.0 * times)
    one.ask(10.0, taken_per_s=100.0)
    one.ask(20.0, taken_per_s=100.0)
    free = 20.0 * (settings.free + 1) / settings.window_s
    assert one.sent == pytest.approx(min(ratio * one.taken + free, one.asked), rel=0.05)
    assert one.taken > 0.9 * 20.0 * 100.0


def test_a_server_that_refuses_all_is_asked_again_and_again(clock: Clock) -> None:
    settings = HoldingBack()
    one = caller(clock, settings, per_s=1000.0)
    one.ask(1.01 * settings.after_s, taken_per_s=0.0)
    for _ in range(20):
        one.ask(settings.window_s, taken_per_s=0.0)
        assert 0 < one.sent < 0.05 * one.asked
    one.ask(100 * settings.window_s, taken_per_s=0.0)
    assert one.sent == pytest.approx(100 * (settings.free + 1), rel=0.2)


@pytest.mark.parametrize("taken_per_s", [0.0, 2.0, 20.0])
def test_when_the_server_has_recovered_all_is_sent_again_soon(clock: Clock, taken_per_s: float) -> None:
    settings = HoldingBack()
    one = caller(clock, settings, per_s=200.0)
    one.ask(60.0, taken_per_s)
    assert one.sent < 0.2 * one.asked
    one.ask(10 * settings.window_s, taken_per_s=1000.0)
    one.ask(10 * settings.window_s, taken_per_s=1000.0)
    assert one.sent == one.asked


def test_who_asks_little_is_never_held_back(clock: Clock) -> None:
    settings = HoldingBack()
    one = caller(clock, settings, per_s=settings.free / settings.window_s)
    one.ask(1000.0, taken_per_s=0.0)
    assert one.sent == one.asked


def test_it_counts_right_from_many_threads(clock: Clock) -> None:
    throttle = Throttle(AT_ONCE, clock, lambda: 0.9999)

    def ask() -> None:
        for number in range(2000):
            slot = throttle.ask()
            assert slot is not None
            if number % 2:
                throttle.refused(slot)

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(slot.asked, slot.taken) for slot in throttle._slots if slot.asked] == [(16000, 8000)]


def test_a_crowd_is_no_overload(clock: Clock) -> None:
    settings = HoldingBack(ratio=1.0, free=0, window_s=1.0, after_s=2.0)
    throttle = Throttle(settings, clock, lambda: CERTAINLY)
    for pause in (0.0, 0.9, 0.9, 1.1, 0.9, 0.9):  # once longer than a window
        clock.now += pause
        for slot in list(slots_of(throttle, 100)):
            throttle.refused(slot)
    clock.now += 0.2
    throttle.refused(next(slots_of(throttle, 1)))
    assert throttle.ask() is None, "for two seconds now"
    clock.now += 1.1
    for slot in list(slots_of(throttle, 100)):
        throttle.refused(slot)
    assert throttle.ask() is not None, "that was another time"


WRONG = [{"ratio": 0.9}, {"ratio": float("nan")}, {"window_s": 0.0}, {"free": -1}, {"after_s": -0.1}]


@pytest.mark.parametrize("wrong", WRONG)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidRequest, match="ratio must be 1 or more"):
        HoldingBack(**wrong)  # type: ignore[arg-type]
