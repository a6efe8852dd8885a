"""Whole recordings and series, from Python and from a terminal."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.bundle import Bundle
from service.client import AsyncClient, Client, InvalidRequest, NotPossible, Pcm
from service.client.signals import Recording
from tests.system.conftest import Running
from tests.system.signals.conftest import Seqserve
from tests.system.signals.test_sessions import readings_of, samples_of
from tests.training import signals

pytestmark = pytest.mark.timeout(600)  # the first one trains six models


@pytest.fixture
def recording(tmp_path: Path, spoken: Any) -> Path:
    return signals.write_wav(tmp_path / "said.wav", spoken)


def test_files_bytes_and_samples_are_heard_alike(hears: Client, recording: Path, spoken: Any) -> None:
    pcm = Pcm(samples_of(spoken), 8000)
    alike: list[Recording] = [recording, str(recording), recording.read_bytes(), pcm]
    found = hears.transcribe(alike, model="toy-digits")
    assert [one.text for one in found] == ["zero two one"] * 4
    assert found[0].seconds == pytest.approx(len(spoken) / 8000)
    assert list(found[0].tokens) == sorted(found[0].tokens, key=lambda token: token.seconds)


def test_a_beam_tells_the_likeliest_texts_the_same_alone_and_in_company(
    hears: Client, recording: Path, seqserve: Seqserve
) -> None:
    asked: Any = {"model": "toy-digits", "beam_size": 8, "num_hypotheses": 3}
    alone = hears.transcribe(recording, **asked)
    assert alone.text == alone.hypotheses[0].text == "zero two one"
    assert len({one.text for one in alone.hypotheses}) == 3
    scores = [one.score for one in alone.hypotheses]
    assert 0 > scores[0] > scores[1] > scores[2]
    assert alone.tokens == alone.hypotheses[0].tokens
    assert hears.transcribe([recording] * 9, **asked) == [alone] * 9
    rows = [
        line.split("\t")
        for line in seqserve("transcribe", "--beam", "8", "--hypotheses", "3", recording).out.splitlines()
    ]
    assert rows == [[f"{one.score:.3f}", one.text] for one in alone.hypotheses]
    assert hears.transcribe(recording).hypotheses == ()
    refused = seqserve("transcribe", "--live", "--beam", "4", stdin=b"")
    assert (refused.code, "never taken back" in refused.err) == (2, True)


def test_a_long_list_is_sent_in_several_requests(hears: Client, spoken: Any) -> None:
    recordings = [Pcm(samples_of(spoken[: 2000 + number])) for number in range(70)]
    found = hears.transcribe(recordings)
    assert [round(one.seconds * 8000) for one in found] == [2000 + number for number in range(70)]


async def test_the_async_client_does_the_same(
    signal_server: Running, hears: Client, recording: Path, spoken: Any
) -> None:
    readings = readings_of("toy-waves")
    async with AsyncClient(signal_server.address, timeout=60) as client:
        assert await client.transcribe(recording) == hears.transcribe(recording)
        assert await client.predict(readings, model="toy-waves", horizon=2) == hears.predict(
            readings, model="toy-waves", horizon=2
        )
        async with client.session(model="toy-digits") as session:
            heard = [*(await session.feed_pcm(samples_of(spoken))).heard, *(await session.end_input()).heard]
        assert tuple(heard) == hears.transcribe(recording).tokens
        many = await asyncio.gather(*(client.transcribe(recording) for _ in range(20)))
        assert len(set(many)) == 1


def test_labels_say_what_was_learned(hears: Client, data: Path) -> None:
    rows = [line.split(",") for line in (data / "series" / "a.csv").read_text().splitlines()[1:]]
    found = hears.predict([[float(row[2]), float(row[3])] for row in rows], model="toy-occupancy")
    right = [
        one.label == ("high" if row[4] == "1" else "low") for one, row in zip(found.labels, rows, strict=True)
    ]
    assert np.mean(right[20:]) > 0.95
    assert all(sum(one.probability for one in step.labels) == pytest.approx(1) for step in found.steps)


def test_an_anomaly_score_is_the_error_of_the_forecast_in_its_usual_size(
    hears: Client, signal_models: Path
) -> None:
    readings = [[20 + 5 * np.sin(at * 2 * np.pi / 17)] for at in range(100)]
    readings[60] = [45.0]
    steps = hears.predict(readings, model="toy-waves").steps
    spec = Bundle.read(signal_models / "toy-waves" / "1").readings
    usual = spec.error_scale[0] * spec.scale[0]
    errors = [
        abs(reading[0] - step.forecast[0]) / usual for step, reading in zip(steps, readings[1:], strict=False)
    ]
    scores = [step.anomaly_score for step in steps]
    assert scores[0] == 0
    assert scores[1:] == pytest.approx(errors, rel=1e-3, abs=1e-3)
    assert scores[60] > 10
    assert scores[60] > 5 * max(scores[30:60])


def test_forecasts_go_on_from_each_other(hears: Client) -> None:
    readings = readings_of("toy-waves")
    found = hears.predict(readings, model="toy-waves", horizon=5)
    assert len(found.ahead) == 5
    assert found.ahead[0] == pytest.approx(found.steps[-1].forecast)
    again = hears.predict([*readings, list(found.ahead[0])], model="toy-waves", horizon=4)
    assert np.allclose(again.ahead, found.ahead[1:], rtol=1e-4)
    assert hears.predict(readings, model="toy-waves").ahead == ()


def test_what_cannot_be_heard_or_read_is_refused_with_what_was_expected(hears: Client, spoken: Any) -> None:
    wrong: list[tuple[Any, str]] = [
        (lambda: hears.transcribe(b"no wave"), r"recordings\[0\]\.wav: not a WAVE file of 16-bit PCM"),
        (lambda: hears.transcribe(Pcm(b"")), r"recordings\[0\] is empty; expected sound"),
        (lambda: hears.transcribe(Pcm(b"123")), "3 bytes; expected 16-bit samples"),
        (lambda: hears.transcribe(Pcm(b"1234", 16_000)), "16,000 samples a second; this model hears 8,000"),
        (lambda: hears.transcribe(Pcm(bytes(400_000))), r"hears at most 20 seconds at once"),
        (lambda: hears.transcribe([Pcm(bytes(5000)), Pcm(b"1")]), r"recordings\[1\]"),
        (lambda: hears.transcribe(Pcm(bytes(5000)), beam_size=17), "beam_size must be 1 to 16"),
        (lambda: hears.transcribe(Pcm(bytes(5000)), num_hypotheses=2), r"must be 1 to 1 \(beam_size\)"),
        (lambda: hears.transcribe("nowhere.wav"), "nowhere.wav cannot be read"),
        (lambda: hears.predict([[1.0, 2.0]], model="toy-waves"), "readings of 2 numbers; expected 1: level"),
        (lambda: hears.predict([], model="toy-waves"), r"series\[0\]"),
        (lambda: hears.predict([[1], [1, 2]], model="toy-waves"), "readings of 1 and of 2 numbers"),
        (lambda: hears.predict([[float("nan")]], model="toy-waves"), "not a finite number"),
        (lambda: hears.predict([["x"]], model="toy-waves"), "expected readings of numbers"),  # type: ignore[list-item]
        (lambda: hears.predict([[1]] * 1001, model="toy-waves"), "1,001 readings; toy-waves reads at most"),
        (lambda: hears.predict([[1]], model="toy-waves", horizon=1001), "horizon must be 0 to 1,000"),
        (lambda: hears.predict([[1]], model="toy-waves", horizon=-1), "horizon must be 0 to 1,000"),
    ]
    for ask, said in wrong:
        with pytest.raises(InvalidRequest, match=said):
            ask()
    with pytest.raises(NotPossible, match="says labels and forecasts nothing"):
        hears.predict([[1, 2]], model="toy-occupancy", horizon=1)
    for model, said in (("toy-digits", "it reads pcm"), ("toy-waves", "it reads features")):
        with hears.session(model=model) as session, pytest.raises(InvalidRequest, match=said):
            session.feed("text")
    with hears.session(model="toy-waves") as session, pytest.raises(InvalidRequest, match="at most 2,000 at"):
        session.feed_features([[1]] * 2001)
    with hears.session(model="toy-digits") as session, pytest.raises(InvalidRequest, match="hears 8,000"):
        session.feed_pcm(Pcm(samples_of(spoken), 16_000))


def test_a_terminal_hears_files_and_a_microphone(seqserve: Seqserve, recording: Path, spoken: Any) -> None:
    assert seqserve("transcribe", recording).out == "zero two one\n"
    both = seqserve("transcribe", "--json", recording, recording).out.splitlines()
    assert [json.loads(line)["text"] for line in both] == ["zero two one"] * 2
    raw = samples_of(spoken)
    for stdin in (raw, recording.read_bytes(), raw + b"\0"):
        assert seqserve("transcribe", "--live", stdin=stdin).out == "zero two one\n"
    assert seqserve("transcribe", "--live", recording).out == "zero two one\n"
    told = seqserve("transcribe", "--live", "--json", stdin=raw).out.splitlines()
    assert "".join(json.loads(line)["piece"] for line in told) == "zero two one"


def test_a_terminal_says_what_it_cannot_hear(seqserve: Seqserve, tmp_path: Path, spoken: Any) -> None:
    fast = signals.write_wav(tmp_path / "fast.wav", spoken, 16_000)
    ran = seqserve("transcribe", fast)
    assert ran.code == 2
    assert ran.err.startswith(f"seqserve: {fast} has 16,000 samples a second; this model hears 8,000.")
    live = seqserve("transcribe", "--live", stdin=fast.read_bytes())
    assert "arecord -f S16_LE -c 1 -r 8000" in live.err
    assert seqserve("transcribe", tmp_path / "none.wav").code == 2


def test_a_terminal_reads_series(seqserve: Seqserve, data: Path) -> None:
    file = data / "series" / "a.csv"
    labels = seqserve("predict", "--model", "toy-occupancy", file).out.splitlines()
    assert len(labels) == 300
    assert {line.split("\t")[0] for line in labels} == {"high", "low"}
    whole = seqserve("predict", "--model", "toy-waves", file).out
    live = seqserve("predict", "--live", "--model", "toy-waves", stdin=file.read_bytes()).out
    assert live == whole
    assert seqserve("predict", "--live", "--model", "toy-waves", file).out == whole
    ahead = seqserve("predict", "--model", "toy-waves", "--horizon", "3", file).out
    assert ahead.splitlines()[0] == "level"
    assert len(ahead.splitlines()) == 4
    wrong = seqserve("predict", "--model", "toy-waves", stdin=b"level\n1\nx\n")
    assert (wrong.code, wrong.err) == (2, "seqserve: line 3: level is 'x'; expected a number\n")


def test_models_of_signals_are_measured(
    seqserve: Seqserve, data: Path, tmp_path: Path, recording: Path
) -> None:
    listed = tmp_path / "list.tsv"
    listed.write_text(f"{recording.name}\tzero two two\n")
    report = json.loads(seqserve("evaluate", "--json", "--model", "toy-digits", listed).out)
    assert (report["metric"], report["score"]) == ("WER", pytest.approx(100 / 3, abs=0.01))
    waves = seqserve("evaluate", "--json", "--model", "toy-waves", data / "series" / "b.csv")
    assert json.loads(waves.out)["score"] > 60
    labels = seqserve("evaluate", "--model", "toy-occupancy", "--label", "state", data / "series" / "b.csv")
    assert "the file's labels are 0, 1; the model's are high, low" in labels.err
