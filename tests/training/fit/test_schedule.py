import pytest

from training.config import TrainingSection
from training.fit.schedule import Schedule


def schedule() -> Schedule:
    return Schedule(
        TrainingSection(
            learning_rate=1.0,
            warmup_steps=10,
            decay_start=0.5,
            final_rate=0.1,
            plateau_patience=2,
            patience=5,
        )
    )


def test_the_rate_rises_stays_and_falls() -> None:
    rate = schedule().rate
    assert [rate(0, 0), rate(4, 0), rate(9, 0), rate(99, 0.5)] == [0.1, 0.5, 1.0, 1.0]
    assert rate(99, 0.75) == pytest.approx(0.55)
    assert rate(99, 1.0) == pytest.approx(0.1)


def test_a_plateau_halves_the_rate_and_at_last_ends_the_run() -> None:
    plan = schedule()
    rates, ends = [], []
    for loss in (2.0, 1.0, 1.5, 1.5, 1.5, 1.5, 1.5):
        plan.judge(loss)
        rates.append(plan.rate(99, 0))
        ends.append(plan.exhausted)
    assert rates == [1, 1, 1, 0.5, 0.5, 0.25, 0.25]
    assert ends == [False] * 6 + [True]


def test_it_goes_on_from_its_state() -> None:
    plan, again = schedule(), schedule()
    for loss in (1.0, 2.0, 2.0):
        plan.judge(loss)
    again.restore(plan.state())
    assert again.state() == plan.state()
    assert again.rate(99, 0.7) == plan.rate(99, 0.7)
