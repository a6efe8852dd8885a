import io
import itertools
import wave
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bundle.best_path import BLANK, best_path
from service.bundle.features import SoundSpec
from service.bundle.sound import Framer, LogMel, heard_after, mel_of, unit_length, units_in
from service.bundle.wav import read_wav
from service.errors import InvalidInput

SPEC = SoundSpec(
    sample_rate=8000,
    frame_length=200,
    frame_step=80,
    mel_bands=20,
    stack=3,
    tail=500,
    mean=(-5.0,) * 20,
    scale=(2.0,) * 20,
)
MEL = mel_of(SPEC)


def noise(num: int) -> Any:
    return np.random.default_rng(num).normal(0, 3000, num).astype(np.int16)


@given(num=st.integers(1, 3000), cuts=st.lists(st.integers(0, 3000), max_size=12))
def test_sound_gives_the_same_units_however_it_is_cut(num: int, cuts: list[int]) -> None:
    samples, pending, units = noise(num), None, []
    for start, end in itertools.pairwise([0, *sorted(min(cut, num) for cut in cuts), num]):
        framer = Framer(SPEC, MEL, pending)
        units.append(framer.take(samples[start:end]))
        pending = framer.pending()
    units.append(Framer(SPEC, MEL, pending).finish())
    assert np.array_equal(np.concatenate(units), Framer.whole(SPEC, samples, MEL))


@given(st.integers(0, 3000))
def test_what_is_held_back_is_less_than_a_unit(num: int) -> None:
    framer = Framer(SPEC, MEL)
    given_back = framer.take(noise(num))
    assert len(given_back) == units_in(SPEC, num)
    assert len(framer.pending()["samples"]) < 4 * (2 * unit_length(SPEC) // 3 + 2)


@given(st.integers(1, 3000))
def test_every_sample_and_the_silence_after_it_lie_in_some_unit(num: int) -> None:
    units = len(Framer.whole(SPEC, noise(num), MEL))
    assert heard_after(SPEC, units - 1) * SPEC.sample_rate >= num + SPEC.tail
    assert units == 1 or heard_after(SPEC, units - 2) * SPEC.sample_rate < num + SPEC.tail


def test_no_sound_is_no_unit() -> None:
    assert Framer.whole(SPEC, noise(0), MEL).shape == (0, 60)


def test_a_tone_is_loudest_in_the_band_that_lies_there() -> None:
    mel = LogMel(sample_rate=16_000, frame_length=400, frame_step=160, mel_bands=30)
    edges = 700 * np.expm1(np.linspace(0, np.log1p(8000 / 700), 32))
    for band in (3, 12, 25):
        tone = 8000 * np.sin(2 * np.pi * edges[band + 1] * np.arange(2000) / 16_000)
        assert (mel(tone.astype(np.int16)).argmax(axis=1) == band).all()


def test_ten_times_as_loud_is_a_hundred_times_the_energy() -> None:
    soft = noise(1000) // 10
    quiet, loud = MEL(soft), MEL(soft * 10)
    assert np.allclose(loud - quiet, np.log(100), atol=1e-2)


def test_many_frames_are_computed_in_blocks_that_join(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = noise(5000)
    whole = MEL(samples)
    monkeypatch.setattr("service.bundle.sound.BLOCK", 7)
    assert np.array_equal(MEL(samples), whole)


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(0, 30))
def test_a_best_path_is_the_same_whole_and_in_two_parts(ids: list[int], cut: int) -> None:
    expected = [key for key, _ in itertools.groupby(ids) if key != BLANK]
    first, second = np.array(ids[:cut], int), np.array(ids[cut:], int)
    last = int(first[-1]) if len(first) else BLANK
    heard = [*best_path(first), *best_path(second, last)]
    assert [token for _, token in heard] == expected


def wav(samples: Any, *, width: int = 2, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setsampwidth(width)
        out.setnchannels(channels)
        out.setframerate(8000)
        out.writeframes(samples.tobytes())
    return file.getvalue()


def test_channels_are_averaged() -> None:
    both = np.array([[100, 200], [-5, -6], [32767, 32767]], np.int16)
    samples, rate = read_wav(wav(both, channels=2))
    assert (samples.tolist(), rate) == ([150, -6, 32767], 8000)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"ID3 is no wave", "not a WAVE file"),
        (b"", "not a WAVE file"),
        (wav(noise(9).astype(np.int8), width=1), "8-bit samples; expected 16-bit PCM"),
    ],
)
def test_other_files_are_refused_with_what_was_expected(data: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_wav(data)


def test_a_file_that_was_cut_off_gives_what_is_there() -> None:
    assert read_wav(wav(noise(100))[:-3]).samples.tolist() == noise(100)[:98].tolist()
