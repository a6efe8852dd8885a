"""Whatever calls bring, each is answered or refused as documented, others do not notice, and nothing stays behind."""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import calls
from tests.fuzz.corpus import kept
from tests.fuzz.house import NOT_HEARD, House
from tests.fuzz.house import house as the_house
from tests.fuzz.scripts import METHODS, from_bytes, to_bytes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ROUND = settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    house = the_house()
    yield house
    the_house.cache_clear()
    house.close()


def heard(house: House, script: bytes) -> list[str]:
    """How its calls end; played again where gRPC's own client, still writing, has not heard how one did."""
    ends = [NOT_HEARD]
    while NOT_HEARD in ends:
        ends = house.play(from_bytes(script))
    return ends


def test_the_calls_of_a_stream_that_carries_many_are_answered_and_refused_one_by_one(house: House) -> None:
    assert heard(house, calls.carried()) == ["OK"]


def test_a_session_with_every_kind_of_model_is_answered(house: House) -> None:
    for name in calls.NAMES[:13]:
        ends = heard(house, calls.session_of(name))
        does_not = "FAILED_PRECONDITION NOT_POSSIBLE"
        if name in ("interpreter", "headlines", "text", "chat", "shapes"):
            assert ends[0] == "OK", name
        else:
            assert ends[0] == does_not, f"{name} writes nothing"
        assert ends[1] in ("OK", does_not) or name == "translator", "it was closed, or never open"


@pytest.mark.parametrize("path", METHODS)
def test_every_method_takes_any_message(path: str, house: House) -> None:
    for seed in range(2):
        house.play((calls.writer(Random(f"{path}{seed}")).call(path),))


@ROUND
@given(random=st.randoms(use_true_random=False))
def test_calls_come_in_any_order(house: House, random: Random) -> None:
    house.play(calls.writer(random).script())


@ROUND
@given(random=st.randoms(use_true_random=False))
def test_a_session_goes_any_way(house: House, random: Random) -> None:
    writer, script = calls.writer(random), from_bytes(calls.session_of(random.choice(calls.NAMES[:13])))
    for _ in range(random.randint(1, 4)):
        script = writer.changed(script)
    house.play(script)


def test_the_corpus_is_answered(house: House) -> None:
    for file in kept("calls"):
        house.play(from_bytes(file.read_bytes()))


@given(random=st.randoms(use_true_random=False))
def test_a_script_is_written_down_and_read_again(random: Random) -> None:
    script = calls.writer(random).script()
    assert from_bytes(to_bytes(script)) == script
