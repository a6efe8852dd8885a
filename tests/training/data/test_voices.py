import numpy as np
import pytest

from service.bundle.features import SoundSpec
from service.bundle.sound import Framer
from training.config import VoicesSection
from training.data.voices import Voices, resampled

RATE = 8000
SPEC = SoundSpec(
    sample_rate=RATE,
    frame_length=200,
    frame_step=80,
    mel_bands=40,
    stack=2,
    mean=(-5.0,) * 40,
    scale=(2.0,) * 40,
)
SEEDS = [(1, epoch, index) for epoch in range(3) for index in range(10)]


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (6000 * np.sin(2 * np.pi * hertz * time)).round().astype(np.int16)


def noise(seconds: float = 1.0) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 2000, round(seconds * RATE)).astype(np.int16)


def pitch(sound: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(spectrum.argmax()) * RATE / len(sound)


def energies(units: np.ndarray) -> np.ndarray:
    """Logarithms of the bands, a row a frame."""
    return units.reshape(-1, 40) * 2.0 - 5.0


def drawn(samples: np.ndarray, **changes: float) -> list[np.ndarray]:
    voices = Voices(VoicesSection(**changes), SPEC)  # type: ignore[arg-type]
    return [voices.units(samples, seed) for seed in SEEDS]


def test_where_nothing_is_to_change_nothing_does() -> None:
    for units in drawn(noise()):
        np.testing.assert_allclose(units, Framer.whole(SPEC, noise()), atol=1e-4)


def test_a_seed_draws_one_voice() -> None:
    changes = {"speed": 1.3, "throat": 1.2, "gain_db": 10, "colour_db": 3, "hum_db": -40, "masks": 2}
    one, other = drawn(noise(), **changes), drawn(noise(), **changes)
    assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))
    assert len({units.tobytes() for units in one}) == len(SEEDS)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_what_is_played_faster_is_shorter_and_higher_and_as_loud(factor: float) -> None:
    sound = resampled(tone(1000), factor)
    assert len(sound) == pytest.approx(RATE / factor, rel=0.03)
    assert pitch(sound) == pytest.approx(1000 * RATE / len(sound), abs=2)
    assert sound.std() == pytest.approx(6000 / np.sqrt(2), rel=0.01)


def test_what_would_be_higher_than_can_be_heard_is_gone_and_does_not_come_back_lower() -> None:
    assert np.abs(resampled(tone(3500), 1.25)[200:-200]).max() < 300


def test_speed_lies_within_the_factor_both_ways() -> None:
    lengths = np.array([len(units) for units in drawn(noise(4), speed=1.25)]) / len(
        Framer.whole(SPEC, noise(4))
    )
    assert 0.78 < lengths.min() < 0.9
    assert 1.1 < lengths.max() < 1.28


def test_a_throat_moves_frequencies_and_no_time() -> None:
    plain = Framer.whole(SPEC, tone(1000))
    found = drawn(tone(1000), throat=1.2)
    assert {units.shape for units in found} == {plain.shape}
    loudest = [energies(units).mean(0).argmax() for units in found]
    bands = np.linspace(0, np.log1p(4000 / 700), 42)[1:-1]
    hertz = 700 * np.expm1(bands[loudest])
    assert 1000 / 1.2 * 0.93 < hertz.min() < 930
    assert 1070 < hertz.max() < 1000 * 1.2 * 1.07


def test_loudness_changes_all_alike_and_by_no_more_than_was_said() -> None:
    plain = energies(Framer.whole(SPEC, noise()))
    changes = [energies(units) - plain for units in drawn(noise(), gain_db=6)]
    means = np.array([change.mean() for change in changes]) * 10 / np.log(10)
    assert -6.05 < means.min() < -3
    assert 3 < means.max() < 6.05
    assert max(change.std() for change in changes) < 0.05


def test_a_microphone_adds_one_smooth_curve_to_every_frame() -> None:
    plain = energies(Framer.whole(SPEC, noise()))
    curves = []
    for units in drawn(noise(), colour_db=5):
        change = energies(units) - plain
        np.testing.assert_allclose(change, change[:1].repeat(len(change), 0), atol=1e-3)
        assert np.abs(np.diff(change[0])).max() < 0.25 * np.abs(change[0]).max()
        curves.append(change[0] * 10 / np.log(10))
    # Three waves of 5 dB, each of which has half of its square on average.
    assert np.std(curves) == pytest.approx(5 * np.sqrt(3 / 2), rel=0.3)


def test_hum_is_heard_in_silence_and_is_no_louder_than_was_said() -> None:
    silence = np.zeros(RATE, np.int16)
    found = [energies(units).mean() for units in drawn(silence, hum_db=-40)]
    loudest = energies(
        Framer.whole(SPEC, np.random.default_rng(1).normal(0, 328, RATE).astype(np.int16))
    ).mean()
    assert max(found) < loudest + 0.1
    assert len({round(float(mean), 2) for mean in found}) > 10


def test_masks_hide_bands_and_stretches_of_time_and_no_more() -> None:
    hidden = []
    for units in drawn(noise(4), masks=2, masked_bands=5, masked_units=7):
        masked = units.reshape(-1, 2, 40) == 0
        times, bands = masked.all((1, 2)), masked.all((0, 1))
        assert times.sum() <= 14
        assert bands.sum() <= 10
        assert not masked[~times][..., ~bands].any()
        hidden.append((int(times.sum()), int(bands.sum())))
    assert (np.max(hidden, axis=0) > [7, 5]).all(), "two of each"


@pytest.mark.parametrize("num_samples", [0, 1, 199, 300])
def test_the_shortest_recordings_are_read_too(num_samples: int) -> None:
    changes = {"speed": 1.3, "throat": 1.2, "gain_db": 10, "colour_db": 3, "hum_db": -40, "masks": 2}
    for units in drawn(np.full(num_samples, 99, np.int16), **changes):
        assert units.shape[1] == 80
        assert np.isfinite(units).all()
