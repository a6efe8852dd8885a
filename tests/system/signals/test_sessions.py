"""Sound and readings in sessions: the same however they are cut, and over every way in which a session can go on."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.client import Client, HeardToken, NotPossible, PredictedStep, Session
from tests.fakes.ports import free_port
from tests.system.conftest import serving

pytestmark = pytest.mark.timeout(600)  # the first one trains six models

FEW = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
READERS = ["toy-occupancy", "toy-waves", "toy-sizes"]


def samples_of(spoken: Any) -> bytes:
    data: bytes = spoken.astype("<i2").tobytes()
    return data


def cut(length: int, cuts: Sequence[int]) -> list[tuple[int, int]]:
    bounds = [0, *sorted(min(each, length) for each in cuts), length]
    return list(itertools.pairwise(bounds))


def heard(session: Session, spoken: Any, parts: Sequence[tuple[int, int]]) -> list[HeardToken]:
    outputs = [session.feed_pcm(samples_of(spoken[start:end])) for start, end in parts]
    return [token for output in (*outputs, session.end_input()) for token in output.heard]


def readings_of(model: str) -> list[list[float]]:
    random = np.random.default_rng(7)
    level = 20 + 5 * np.sin(np.arange(150) / 3) + random.normal(0, 1, 150)
    rows = np.stack([level, np.gradient(level)], axis=1)[:, : 2 if model == "toy-occupancy" else 1]
    found: list[list[float]] = rows.astype(np.float32).tolist()
    return found


def said(session: Session, readings: list[list[float]]) -> list[PredictedStep]:
    return list(session.feed_features(readings).steps)


@FEW
@given(cuts=st.lists(st.integers(0, 5000), max_size=8))
def test_sound_cut_anywhere_is_heard_like_the_whole_recording(
    hears: Client, spoken: Any, tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    from tests.training.signals import write_wav

    whole = hears.transcribe(write_wav(tmp_path_factory.mktemp("wav") / "x.wav", spoken))
    with hears.session(model="toy-digits") as session:
        tokens = heard(session, spoken, cut(len(spoken), cuts))
    assert tuple(tokens) == whole.tokens
    assert "".join(token.piece for token in tokens) == whole.text == "zero two one"


@pytest.mark.parametrize("model", READERS)
@FEW
@given(cuts=st.lists(st.integers(0, 150), max_size=8))
def test_readings_cut_anywhere_are_answered_like_the_whole_series(
    hears: Client, model: str, cuts: list[int]
) -> None:
    readings = readings_of(model)
    whole = hears.predict(readings, model=model)
    with hears.session(model=model) as session:
        parts = [said(session, readings[start:end]) for start, end in cut(150, cuts) if end > start]
    assert tuple(itertools.chain(*parts)) == whole.steps


@pytest.mark.parametrize("model", [*READERS, "toy-both-ways"])
def test_a_series_is_answered_the_same_in_any_company(hears: Client, model: str) -> None:
    readings = readings_of("toy-occupancy" if model == "toy-both-ways" else model)
    company = [readings, readings[:17], [[number * 1000 for number in row] for row in readings], readings[:1]]
    together = hears.predict_many(company, model=model)
    assert together == [hears.predict(series, model=model) for series in company]


def test_a_second_recording_begins_anew(hears: Client, spoken: Any) -> None:
    with hears.session(model="toy-digits") as session:
        first = heard(session, spoken, [(0, len(spoken))])
        assert heard(session, spoken, [(0, 777), (777, len(spoken))]) == first


def test_a_fork_and_the_way_back_hear_the_same(hears: Client, spoken: Any) -> None:
    middle = len(spoken) // 2 + 13
    with hears.session(model="toy-digits") as session:
        before = session.feed_pcm(samples_of(spoken[:middle])).heard
        turn = session.num_turns - 1
        with session.fork() as fork:
            rest = heard(fork, spoken, [(middle, len(spoken))])
        assert heard(session, spoken[::-1], [(0, 3000)]) != rest
        session.rewind(turn)
        assert heard(session, spoken, [(middle, len(spoken))]) == rest
        assert "".join(token.piece for token in (*before, *rest)) == "zero two one"


def test_a_ticket_holds_the_last_forecast_and_the_scale(hears: Client) -> None:
    readings = readings_of("toy-sizes")
    with hears.session(model="toy-sizes") as session:
        said(session, readings[:70])
        with hears.resume(session.ticket()) as again:
            assert tuple(said(again, readings[70:])) == hears.predict(readings, model="toy-sizes").steps[70:]


def test_nothing_is_lost_when_the_server_is_killed_in_mid_word(
    signal_models: Path, tmp_path: Path, hears: Client, spoken: Any
) -> None:
    with hears.session(model="toy-digits") as session:
        undisturbed = heard(session, spoken, [(0, len(spoken))])
    port, store = str(free_port()), f"sqlite:{tmp_path / 'sessions.sqlite'}"
    found: list[HeardToken] = []
    with serving(signal_models, "--port", port, "--store", store) as running:
        client = Client(running.address, timeout=60)
        session = client.session(model="toy-digits", durability="every 2 steps")
        for start in range(0, 2000, 250):
            found += session.feed_pcm(samples_of(spoken[start : start + 250])).heard
        running.process.kill()
    with serving(signal_models, "--port", port, "--store", store), client:
        found += heard(session, spoken, [(start, start + 250) for start in range(2000, len(spoken), 250)])
    assert found == undisturbed


def test_a_model_that_reads_both_ways_says_why_it_cannot_be_fed(hears: Client) -> None:
    with pytest.raises(NotPossible, match=r"both directions.*Predict with whole series"):
        hears.session(model="toy-both-ways")
    assert not hears.model("toy-both-ways").streams


def test_models_say_what_they_can_be_fed(hears: Client) -> None:
    digits, waves = hears.model("toy-digits"), hears.model("toy-waves")
    assert (digits.task, digits.input_kind, digits.sample_rate) == ("transcribe", "audio", 8000)
    assert (waves.task, waves.input_kind, waves.feature_names) == ("predict", "features", ("level",))
