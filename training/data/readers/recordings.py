"""Recordings with what is said in them."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from service.bundle.wav import Array, read_wav
from service.errors import InvalidInput
from training.config import RecordedData
from training.data.readers.files import DataError, lines, some

Split = Literal["train", "dev", "test"]

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LOUDEST_HUM = 30.0
"""Standard deviation of the noise in a gap, in the steps of 16-bit samples, at most."""


class Utterance(NamedTuple):
    """What was said, as samples `[time]` int16 and as text."""

    samples: Array
    text: str


class Digit(NamedTuple):
    """One digit, said once."""

    value: int
    speaker: str
    number: int
    samples: Array


def read_utterances(root: Path, files: tuple[str, ...], sample_rate: int) -> list[Utterance]:
    """The recordings that lists (TSV: file and text) name. Raises DataError if there is none."""
    return some([said for name in files for said in _listed(root / name, sample_rate)], files)


def read_digits(root: Path, folders: tuple[str, ...], sample_rate: int) -> list[Digit]:
    """All digits of these folders in the order of their names. Raises DataError if there is none."""
    paths = [path for name in folders for path in sorted((root / name).glob("*_*_*.wav"))]
    return some([_digit(path, sample_rate) for path in paths], folders)


def read_split(root: Path, split: Split, data: RecordedData, sample_rate: int) -> list[Utterance]:
    """What dev, or a test, is made of: always the same."""
    files = data.train if split == "train" else data.dev
    if data.format == "tsv":
        return read_utterances(root, files, sample_rate)
    strings = DigitStrings(read_digits(root, files, sample_rate), data, split, sample_rate)
    return strings.drawn(data.dev_strings, split)


class DigitStrings:
    """Strings of digits, joined from recordings of one split and one speaker each."""

    def __init__(self, digits: list[Digit], data: RecordedData, split: Split, sample_rate: int) -> None:
        self._data, self._sample_rate = data, sample_rate
        chosen = [digit for digit in digits if self._belongs(digit, split)]
        self._by_speaker: dict[str, list[Digit]] = {}
        for digit in some(chosen, (f"the {split} split",)):
            self._by_speaker.setdefault(digit.speaker, []).append(digit)

    def drawn(self, number: int, seed: str) -> list[Utterance]:
        """So many strings, the same ones for the same seed."""
        dice = random.Random(seed)
        return [self._string(dice) for _ in range(number)]

    def _belongs(self, digit: Digit, split: Split) -> bool:
        """With a speaker left out, the test is of this one alone."""
        first_train = self._data.test_indexes + self._data.dev_indexes
        if split == "test":
            is_one = not self._data.leave_out or digit.speaker == self._data.leave_out
            return is_one and digit.number < self._data.test_indexes
        if digit.speaker == self._data.leave_out:
            return False
        return (
            digit.number >= first_train
            if split == "train"
            else self._data.test_indexes <= digit.number < first_train
        )

    def _string(self, dice: random.Random) -> Utterance:
        speaker = self._by_speaker[dice.choice(sorted(self._by_speaker))]
        digits = dice.choices(speaker, k=dice.randint(self._data.shortest, self._data.longest))
        hum = dice.uniform(0, LOUDEST_HUM)
        parts = [self._gap(dice, hum)]
        for digit in digits:
            parts += [digit.samples, self._gap(dice, hum)]
        return Utterance(np.concatenate(parts), " ".join(WORDS[digit.value] for digit in digits))

    def _gap(self, dice: random.Random, hum: float) -> Array:
        length = round(dice.uniform(*self._data.gap_seconds) * self._sample_rate)
        noise = np.random.default_rng(dice.getrandbits(64)).normal(0, hum, length)
        return np.rint(noise).astype(np.int16)


def _listed(path: Path, sample_rate: int) -> Iterator[Utterance]:
    for number, line in enumerate(lines(path), 1):
        name, found, text = line.partition("\t")
        if not found or not text.strip():
            raise DataError(f"{path}:{number}: expected a WAVE file, a tab and what is said in it")
        yield Utterance(_samples(path.parent / name, sample_rate), text)


def _digit(path: Path, sample_rate: int) -> Digit:
    value, speaker, index = path.stem.split("_", 2)
    if value not in "0123456789" or not index.isdigit():
        raise DataError(f"{path}: expected a name such as 7_jackson_12.wav")
    return Digit(int(value), speaker, int(index), _samples(path, sample_rate))


def _samples(path: Path, sample_rate: int) -> Array:
    try:
        recording = read_wav(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except InvalidInput as error:
        raise DataError(f"{path}: {error}") from error
    if recording.sample_rate != sample_rate:
        raise DataError(f"{path}: {recording.sample_rate} samples a second, the recipe says {sample_rate}")
    return recording.samples
