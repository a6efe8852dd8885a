"""Voices and microphones that nobody recorded: recordings are changed at random while training, so that a model hears
more of them than there are.

    samples -- speed, loudness, hum --> log-mel energies -- throat, microphone --> units -- masks --> what is read

What is drawn holds for a whole recording, but for the masks.
"""

from typing import Any

import numpy as np

from service.bundle.features import SoundSpec
from service.bundle.sound import FULL_SCALE, Framer, mel_of
from training.config import VoicesSection

Array = np.ndarray[Any, np.dtype[Any]]

WAVES = 3
"""Half waves that a microphone's curve over the bands is made of."""
LONGEST = 1 << 26
"""Samples in a recording, at most."""
SILENT_DB = -110.0
"""Hum of full scale that no 16-bit sample shows."""


class Voices:
    """Draws voices, and makes what a model reads of recordings in them."""

    def __init__(self, section: VoicesSection, spec: SoundSpec) -> None:
        self._section, self._spec, self._mel = section, spec, mel_of(spec)
        self._mean, self._scale = (np.array(each, np.float32) for each in (spec.mean, spec.scale))
        bands = np.arange(spec.mel_bands)
        self._waves = np.cos(np.outer(np.arange(1, WAVES + 1), (bands + 0.5) * np.pi / spec.mel_bands))
        self._mels = np.linspace(0, np.log1p(spec.sample_rate / 1400), spec.mel_bands + 2)

    def units(self, samples: Array, seed: tuple[int, ...]) -> Array:
        """`samples` [time] int16 to units [units, stack * mel_bands] float32; a seed draws one voice."""
        dice, spec = np.random.default_rng(seed), self._spec
        units = Framer.whole(spec, self._heard(samples, dice), self._mel)
        energies = units.reshape(len(units), spec.stack, spec.mel_bands) * self._scale + self._mean
        energies = self._with_throat(energies, dice) + self._microphone(dice)
        scaled = ((energies - self._mean) / self._scale).astype(np.float32)
        return self._masked(scaled, dice).reshape(units.shape)

    def _heard(self, samples: Array, dice: np.random.Generator) -> Array:
        """Faster or slower, louder or softer, and over white noise."""
        section = self._section
        sound = resampled(samples, _factor(section.speed, dice))
        sound = sound * 10 ** (dice.uniform(-section.gain_db, section.gain_db) / 20)
        hum = FULL_SCALE * 10 ** (dice.uniform(SILENT_DB, section.hum_db) / 20)
        sound += dice.normal(0, hum, len(sound))
        return np.clip(np.rint(sound), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)

    def _with_throat(self, energies: Array, dice: np.random.Generator) -> Array:
        """What lies at a frequency moves to another one, a factor higher or lower."""
        hertz = np.expm1(self._mels[1:-1]) * _factor(self._section.throat, dice)
        places = np.interp(np.log1p(hertz), self._mels[1:-1], np.arange(self._spec.mel_bands))
        below = np.minimum(places.astype(int), self._spec.mel_bands - 2)
        share = (places - below).astype(np.float32)
        moved: Array = energies[..., below] * (1 - share) + energies[..., below + 1] * share
        return moved

    def _microphone(self, dice: np.random.Generator) -> Array:
        """What it adds to each band's logarithm: a smooth curve."""
        decibels = dice.normal(0, self._section.colour_db, WAVES) @ self._waves
        curve: Array = decibels * (np.log(10) / 10)
        return curve

    def _masked(self, units: Array, dice: np.random.Generator) -> Array:
        """Some bands, and some stretches of time, at their mean (SpecAugment: Park et al. 2019 §2)."""
        section = self._section
        for _ in range(section.masks):
            units[..., _stretch(self._spec.mel_bands, section.masked_bands, dice)] = 0
            units[_stretch(len(units), section.masked_units, dice)] = 0
        return units


def resampled(samples: Array, factor: float) -> Array:
    """`samples` [time] played `factor` times as fast, float64: pitch, formants and tempo (Ko et al. 2015 §2).

    The factor is met to within some percent: lengths are those whose Fourier transform is fast.
    """
    if not len(samples):
        return np.zeros(0)
    length = _FAST[np.searchsorted(_FAST, len(samples))]
    wanted = _FAST[np.abs(_FAST - length / factor).argmin()]
    spectrum = np.fft.rfft(samples, length)[: wanted // 2 + 1]
    sound: Array = np.fft.irfft(spectrum, wanted) * (wanted / length)
    return sound[: max(1, round(len(samples) * wanted / length))]


def _stretch(length: int, widest: int, dice: np.random.Generator) -> slice:
    """Part of what is so long, at most so wide."""
    width = int(dice.integers(0, widest + 1))
    first = int(dice.integers(0, max(1, length - width)))
    return slice(first, first + width)


def _factor(largest: float, dice: np.random.Generator) -> float:
    return float(np.exp(dice.uniform(-1, 1) * np.log(largest)))


def _smooth(largest: int) -> Array:
    """All numbers up to this one that have no larger factors than 7."""
    found = np.ones(1, np.int64)
    for prime in (2, 3, 5, 7):
        powers = prime ** np.arange(int(np.log(largest) / np.log(prime)) + 1)
        found = np.outer(found, powers).ravel()
        found = found[(found > 0) & (found <= largest)]
    return np.sort(found)


_FAST = _smooth(LONGEST)
