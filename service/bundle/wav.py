"""Recordings in RIFF WAVE files."""

import io
import wave
from typing import Any, NamedTuple

import numpy as np

from service.errors import InvalidInput

Array = np.ndarray[Any, np.dtype[Any]]


class Recording(NamedTuple):
    """Samples of one channel `[time]`, int16, so many a second."""

    samples: Array
    sample_rate: int


def read_wav(data: bytes) -> Recording:
    """A file of 16-bit PCM, several channels averaged; InvalidInput says what else it is."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError, RuntimeError) as error:  # the last one: a part that ends within another
        raise InvalidInput(f"not a WAVE file of 16-bit PCM: {str(error) or 'it ends too early'}") from None
    if width != 2 or channels < 1:
        raise InvalidInput(
            f"the recording has {8 * width}-bit samples; expected 16-bit PCM (sox IN -b 16 OUT.wav)"
        )
    whole = frames[
        : len(frames) // (2 * channels) * 2 * channels
    ]  # a file that was cut off may end in mid-sample
    samples = np.frombuffer(whole, "<i2").reshape(-1, channels)
    if channels > 1:
        samples = np.rint(samples.mean(axis=1, dtype=np.float64))
    return Recording(samples.reshape(-1).astype(np.int16), rate)
