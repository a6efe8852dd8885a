"""What is refused at once, and what may wait. Time is a number here."""

import pytest

from service.config import SchedulerSettings
from service.errors import Overloaded
from service.scheduler.admission import LEAST_RETRY_S, Admission
from service.scheduler.pace import NUM_AT_LEAST, Arrival, Pace
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
        self.there: list[Arrival] = []

    def ask(self, num: int = 1, within_s: float = FOR_EVER) -> None:
        self.admission.check(len(self.there), num, self.clock.now + within_s)

    def come(self, num: int) -> None:
        self.there += [self.admission.began(len(self.there) + num)] * num

    def work(self, num: int, *, others_come: bool = True) -> None:
        for _ in range(num):
            self.clock.now += 0.01
            self.admission.ended(self.there.pop(0), len(self.there))
            if others_come:
                self.come(1)

    def known(self, num_active: int) -> "Model":
        """With so many under way, whose pace is known: as many have ended, 10 ms for each."""
        for _ in range(0, NUM_AT_LEAST, num_active):
            self.come(num_active)
            self.clock.now += 0.01 * num_active
            while self.there:
                self.admission.ended(self.there.pop(), len(self.there))
        self.come(num_active)
        return self


class Jobs:
    """Jobs that a pace is told of."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.pace = Pace(self.clock)
        self.there: list[Arrival] = []

    def come(self, num: int) -> None:
        self.there += [self.pace.began(len(self.there) + num)] * num

    def end(self, num: int = 1, *, after_s: float = 0.0, done: bool = True) -> None:
        """The oldest, together."""
        self.clock.now += after_s
        for _ in range(num):
            self.pace.ended(self.there.pop(0), len(self.there), done=done)


def test_a_pace_is_told_apart_by_how_many_are_under_way() -> None:
    jobs = Jobs()
    for _ in range(20):
        jobs.come(1)
        jobs.end(after_s=0.5)
    jobs.come(40)
    jobs.end(40, after_s=0.4)
    assert jobs.pace.interval_s(1) == pytest.approx(0.5)
    assert jobs.pace.interval_s(33) == pytest.approx(0.01)
    assert jobs.pace.interval_s(16) == 0


def test_a_pace_is_not_known_before_some_have_ended_and_pauses_do_not_count() -> None:
    jobs = Jobs()
    for number in range(16):
        assert jobs.pace.interval_s(1) == 0, number
        jobs.clock.now += 60  # nobody is there
        jobs.come(1)
        jobs.end(after_s=0.1)
    assert jobs.pace.interval_s(1) == pytest.approx(0.1)


def test_a_pace_follows_a_machine_that_becomes_slower() -> None:
    jobs = Jobs()
    for seconds in (0.001,) * 2000 + (0.1,) * 60:
        jobs.come(1)
        jobs.end(after_s=seconds)
    assert jobs.pace.interval_s(1) > 0.05


@pytest.mark.parametrize("at_once", [1, 16, 256])
@pytest.mark.parametrize("others", [0, 5], ids="beside {} others".format)
def test_a_crowd_is_no_sign_of_a_slow_model(at_once: int, others: int) -> None:
    jobs, crowd, first_s, then_s = Jobs(), 256, 0.5, 0.002
    stay = [jobs.pace.began(number) for number in range(1, others + 1)]
    jobs.clock.now += 60  # others have been there for long, and stay
    jobs.there = [*[], *([jobs.pace.began(others + crowd)] * crowd), *stay]
    jobs.end(at_once, after_s=first_s)
    while len(jobs.there) > others:
        known = [jobs.pace.interval_s(num) for num in (1, 10, 100, 200, 256)]
        jobs.end(min(at_once, len(jobs.there) - others), after_s=then_s * at_once)
        assert max(known) <= 2 * (first_s + then_s * crowd) / crowd, len(jobs.there)


def test_who_asks_for_many_at_a_time_and_waits_for_the_last_of_them_is_no_sign_of_a_slow_model() -> None:
    jobs = Jobs()
    jobs.come(96)
    for _ in range(100):
        jobs.come(32)  # from here on 128 are there: of the time between two ends all but a little
        jobs.clock.now += 0.08
        for _ in range(32):
            jobs.end(after_s=0.02 / 32)
    assert jobs.pace.interval_s(127) == pytest.approx(0.1 / 32, rel=0.2)
    assert jobs.pace.interval_s(128) <= 0.1 / 32 * 1.2, "nothing is known of it, or the same"


def test_who_gave_up_would_have_taken_as_long_at_least() -> None:
    jobs = Jobs()
    jobs.come(64)
    jobs.end(16, after_s=0.064)
    assert jobs.pace.interval_s(64) == pytest.approx(0.001)
    jobs.come(16)
    jobs.end(64, after_s=5.0, done=False)
    assert jobs.pace.interval_s(64) > 0.05
    known = jobs.pace.interval_s(64)
    jobs.come(64)
    for _ in range(100):
        jobs.there.insert(0, jobs.pace.began(65))
        jobs.end(after_s=0.001, done=False)
    assert jobs.pace.interval_s(64) == known, "who leaves at once tells nothing"


def test_who_is_gone_as_he_comes_tells_nothing() -> None:
    jobs = Jobs()
    jobs.come(40)
    jobs.end(40)
    assert jobs.pace.interval_s(40) == 0


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
    model = Model(max_wait_s=1.0, standing_wait_s=1.0).known(100)
    model.ask()
    model = Model(max_wait_s=0.8, standing_wait_s=0.8).known(100)
    with pytest.raises(Overloaded, match=r"0\.9 s behind") as refused:
        model.ask()
    assert refused.value.retry_after_s == pytest.approx(0.9)


def test_those_who_fit_into_a_batch_do_not_wait_however_slow_it_is() -> None:
    model = Model(max_wait_s=0.1).known(10)
    model.clock.now += 60
    model.work(40)
    model.ask()


def test_a_burst_may_wait_longer_than_a_queue_that_stays() -> None:
    model = Model(max_wait_s=2.0, standing_wait_s=0.3).known(100)
    model.work(90, others_come=False)
    model.ask()  # nobody waits: from here on it counts how long the queue has not been short
    model.come(90)
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
