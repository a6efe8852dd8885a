"""Sound to log-mel energies, whole or as it comes in: the same bit for bit, however it is cut.

    samples   |----------------------------------------------|····
    frames    [======]      frame_length samples, a Hann window, the power spectrum, mel bands, their logarithm
                 [======]   the next one frame_step further
                    [======]
    units     [ frame ; frame ]   `stack` frames side by side are what the model reads as one

What is not a whole unit yet is held back. Every frame is computed on its own and in one way, whoever stands beside it:
sums run along a frame's own numbers, and there is no product of matrices.
"""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from service.bundle.features import SoundSpec

Array = np.ndarray[Any, np.dtype[Any]]

FULL_SCALE = 32768.0
"""Of 16-bit samples."""
FLOOR = 1e-6
"""Added to an energy before its logarithm is taken: about what the last bit of a sample makes."""
BLOCK = 4096
"""Frames computed at a time, which bounds the memory."""


class LogMel:
    """Log-mel energies of frames (Davis & Mermelstein 1980, up to the logarithm)."""

    def __init__(self, sample_rate: int, frame_length: int, frame_step: int, mel_bands: int) -> None:
        self.frame_length, self.frame_step, self.mel_bands = frame_length, frame_step, mel_bands
        self._fft = 1 << (frame_length - 1).bit_length()
        self._window = np.hanning(frame_length).astype(np.float32)
        self._bins, self._weights = _mel_filters(sample_rate, self._fft, mel_bands)

    def __call__(self, samples: Array) -> Array:
        """`samples` [time] int16 to [frames, mel_bands] float32: the frames that are whole."""
        num = max(0, (len(samples) - self.frame_length) // self.frame_step + 1)
        blocks = [self._energies(samples, start, min(BLOCK, num - start)) for start in range(0, num, BLOCK)]
        return np.concatenate(blocks) if blocks else np.zeros((0, self.mel_bands), np.float32)

    def _energies(self, samples: Array, first: int, num: int) -> Array:
        part = samples[first * self.frame_step :][: (num - 1) * self.frame_step + self.frame_length]
        scaled = part.astype(np.float32) / np.float32(FULL_SCALE)
        frames = np.lib.stride_tricks.sliding_window_view(scaled, self.frame_length)[:: self.frame_step]
        spectrum = np.fft.rfft(frames * self._window, self._fft, axis=-1)
        power = spectrum.real**2 + spectrum.imag**2
        bands = (power[:, self._bins] * self._weights).sum(axis=-1, dtype=np.float32)
        energies: Array = np.log(bands + np.float32(FLOOR), dtype=np.float32)
        return energies


class Framer:
    """Takes sound piece by piece and gives the units that are whole; what `take` and `finish` gave, joined, is
    always what the whole sound gives.
    """

    def __init__(self, spec: SoundSpec, mel: LogMel | None = None, pending: Mapping[str, Any] | None = None):
        self._spec = spec
        self._mel = mel or mel_of(spec)
        self._rest = _decoded(str(pending["samples"])) if pending else np.zeros(0, np.int16)

    def take(self, samples: Array) -> Array:
        """More samples [time] int16: the units that they complete, [units, stack * mel_bands]."""
        samples = np.concatenate([self._rest, samples])
        num = units_in(self._spec, len(samples))
        step = self._spec.stack * self._spec.frame_step
        self._rest = samples[num * step :].copy()
        frames = self._mel(samples)[: num * self._spec.stack]
        mean, scale = (np.array(each, np.float32) for each in (self._spec.mean, self._spec.scale))
        scaled: Array = ((frames - mean) / scale).reshape(num, self._spec.dim)
        return scaled

    def finish(self) -> Array:
        """The sound ends: what was held back, with the silence after it. Nothing where nothing was held back."""
        if not len(self._rest):
            return np.zeros((0, self._spec.dim), np.float32)
        wanted = len(self._rest) + self._spec.tail
        step, length = self._spec.stack * self._spec.frame_step, unit_length(self._spec)
        num = max(1, -(-(wanted - length) // step) + 1)
        last = self.take(np.zeros((num - 1) * step + length - len(self._rest), np.int16))
        self._rest = self._rest[:0]
        return last

    def pending(self) -> dict[str, Any]:
        """What is held back, as plain JSON values; less than a unit."""
        return {"samples": base64.b64encode(self._rest.astype("<i2").tobytes()).decode()}

    @classmethod
    def whole(cls, spec: SoundSpec, samples: Array, mel: LogMel | None = None) -> Array:
        """All units of a whole recording: [units, stack * mel_bands]."""
        framer = cls(spec, mel)
        return np.concatenate([framer.take(samples), framer.finish()])


def mel_of(spec: SoundSpec) -> LogMel:
    """What makes the frames that the spec describes."""
    return LogMel(spec.sample_rate, spec.frame_length, spec.frame_step, spec.mel_bands)


def unit_length(spec: SoundSpec) -> int:
    """Samples that a unit is made from."""
    return spec.frame_length + (spec.stack - 1) * spec.frame_step


def units_in(spec: SoundSpec, num_samples: int) -> int:
    """Whole units in so many samples."""
    return max(0, (num_samples - unit_length(spec)) // (spec.stack * spec.frame_step) + 1)


def heard_after(spec: SoundSpec, unit: int) -> float:
    """Seconds of sound that had to come before unit number `unit` was whole."""
    return (unit * spec.stack * spec.frame_step + unit_length(spec)) / spec.sample_rate


def _mel_filters(sample_rate: int, fft: int, num_bands: int) -> tuple[Array, Array]:
    """For each band which bins of the spectrum it takes, and how much of each: [bands, width] both.

    Triangles at equal distances on the mel scale, m = 1127 ln(1 + f / 700) (Young et al., The HTK Book, §5.4).
    """
    edges = 700 * np.expm1(np.linspace(0, np.log1p(sample_rate / 2 / 700), num_bands + 2))
    hertz = np.arange(fft // 2 + 1) * sample_rate / fft
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    dense = np.clip(np.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle)), 0, None)
    nearest = np.abs(hertz - middle).argmin(axis=1)
    empty = dense.sum(axis=1) == 0  # narrower than the distance of two bins
    dense[empty, nearest[empty]] = 1
    width = int((dense > 0).sum(axis=1).max())
    first = np.minimum((dense > 0).argmax(axis=1), len(hertz) - width)
    bins = first[:, None] + np.arange(width)
    return bins, np.take_along_axis(dense, bins, axis=1).astype(np.float32)


def _decoded(samples: str) -> Array:
    return np.frombuffer(base64.b64decode(samples), "<i2").astype(np.int16)
