"""What is refused at once, and what may wait. Time is a number here."""

import pytest

from service.config import SchedulerSettings
from service.errors import Overloaded
from service.scheduler.admission import LEAST_RETRY_S, Admission
from service.scheduler.pace import Pace
from service.until import FOR_EVER


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Model:
    """Jobs that end one after the other, 10 ms apart."""

    def __init__(self, **settings: float) -> None:
        self.clock = Clock()
        self.settings = SchedulerSettings.model_validate({"max_batch": 10, "max_queue": 1000} | settings)
        self.admission = Admission("toy/1", self.settings, self.clock)
        self.num_active = 0

    def ask(self, num: int = 1, within_s: float = FOR_EVER) -> None:
        self.admission.check(self.num_active, num, self.clock.now + within_s)

    def come(self, num: int) -> None:
        for _ in range(num):
            self.num_active += 1
            self.admission.began(self.num_active)

    def work(self, num: int, *, others_come: bool = True) -> None:
        for _ in range(num):
            self.clock.now += 0.01
            self.admission.ended(self.num_active)
            self.num_active -= 1
            if others_come:
                self.come(1)

    def known(self, num_active: int) -> "Model":
        """With so many under way, whose pace is known."""
        self.come(num_active)
        self.work(40)
        return self


def test_a_pace_is_told_apart_by_how_many_are_under_way() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.began(1)
    for _ in range(20):
        clock.now += 0.5
        pace.ended(1)
    for _ in range(20):
        clock.now += 0.01
        pace.ended(40)
    assert pace.interval_s(1) == pytest.approx(0.5)
    assert pace.interval_s(33) == pytest.approx(0.01)
    assert pace.interval_s(16) == 0


def test_a_pace_is_not_known_before_some_have_ended_and_pauses_do_not_count() -> None:
    clock = Clock()
    pace = Pace(clock)
    for number in range(16):
        assert pace.interval_s(1) == 0, number
        clock.now += 60  # nobody is there
        pace.began(1)
        clock.now += 0.1
        pace.ended(1)
    assert pace.interval_s(1) == pytest.approx(0.1)


def test_a_pace_follows_a_machine_that_becomes_slower() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.began(1)
    for seconds in (0.001,) * 2000 + (0.1,) * 60:
        clock.now += seconds
        pace.ended(1)
    assert pace.interval_s(1) > 0.05


def test_nothing_is_refused_while_nothing_is_known() -> None:
    model = Model()
    model.come(500)
    model.ask(1, within_s=0.001)


def test_more_than_the_queue_holds_is_refused_whatever_is_known() -> None:
    model = Model(max_queue=20)
    model.come(18)
    model.ask(2)
    with pytest.raises(Overloaded, match="18 jobs") as refused:
        model.ask(3)
    assert refused.value.retry_after_s == LEAST_RETRY_S, "nothing is known, and at once is too soon"


def test_who_would_wait_too_long_is_refused_and_told_how_long() -> None:
    model = Model(max_wait_s=1.0).known(100)
    model.ask()
    model = Model(max_wait_s=0.8).known(100)
    with pytest.raises(Overloaded, match=r"0\.9 s behind") as refused:
        model.ask()
    assert refused.value.retry_after_s == pytest.approx(0.9)


def test_those_who_fit_into_a_batch_do_not_wait_however_slow_it_is() -> None:
    model = Model(max_wait_s=0.1).known(10)
    model.clock.now += 60
    model.work(40)
    model.ask()


def test_a_burst_may_wait_longer_than_a_queue_that_stays() -> None:
    model = Model(max_wait_s=2.0, standing_wait_s=0.3)
    model.ask()  # nobody waits: from here on it counts how long the queue has not been short
    model.known(100)
    model.ask()
    model.work(100)
    with pytest.raises(Overloaded):
        model.ask()
    model.work(90, others_come=False)
    model.ask()  # short for once: the next burst is let in
    model.come(90)
    model.ask()


def test_who_leaves_before_his_turn_would_come_is_not_begun() -> None:
    model = Model().known(50)
    model.ask(1, within_s=1.0)
    with pytest.raises(Overloaded, match="longer than the caller waits"):
        model.ask(1, within_s=0.5)
    with pytest.raises(Overloaded, match="longer than the caller waits"):
        model.ask(50, within_s=1.0)


def test_a_few_are_begun_however_short_their_time() -> None:
    model = Model().known(7)
    model.ask(1, within_s=0.0)
