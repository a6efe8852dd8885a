"""Who was refused together does not come again together, nor before the time that was asked for."""

import pytest

from service.client.base import JITTER, wait_s
from service.client.errors import HELD_BACK, TURNED_AWAY, ClientError, Details, Overloaded
from service.client.gate import Attempts
from service.client.reconnecting import Outage

MANY = 50
FULL = Overloaded("full", Details(code=TURNED_AWAY))
HELD = Overloaded("held back", Details(reason=HELD_BACK))
LATER = Overloaded("later", Details(code="RESOURCE_EXHAUSTED", reason="OVERLOADED", retry_after_s=1.0))


def attempts(timeout: float | None = None) -> Attempts:
    return Attempts(max_attempts=5, timeout=timeout, clock=lambda: 7.0)


@pytest.mark.parametrize("error", [FULL, HELD])
def test_attempts_are_further_and_further_apart_and_scattered(error: ClientError) -> None:
    waits = [[one.wait_s(error) for _ in range(4)] for one in (attempts() for _ in range(MANY))]
    for found, mean in zip(zip(*waits, strict=True), (0.2, 0.5, 1.25, 3.125), strict=True):
        assert len(set(found)) == MANY
        assert all(0.75 * mean <= wait <= 1.25 * mean for wait in found)


@pytest.mark.parametrize("error", [FULL, HELD])
def test_after_the_last_attempt_and_past_the_deadline_the_error_is_raised(error: ClientError) -> None:
    one = attempts(timeout=0.3)
    one.wait_s(error)
    with pytest.raises(Overloaded):
        one.wait_s(error)
    one = attempts()
    for _ in range(4):
        one.wait_s(error)
    with pytest.raises(Overloaded):
        one.wait_s(error)


def test_what_the_service_has_refused_is_not_tried_again_by_itself() -> None:
    with pytest.raises(Overloaded, match="later"):
        attempts().wait_s(LATER)


def test_who_is_told_when_to_come_again_comes_then_or_a_little_later() -> None:
    for waits in ([wait_s(LATER) for _ in range(MANY)], [Outage(60.0).wait_s(LATER) for _ in range(MANY)]):
        assert len(set(waits)) == MANY
        assert all(1.0 <= wait <= 1.0 + JITTER for wait in waits)
