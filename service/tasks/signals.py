"""Readings and sound that come in pieces, made into what the model reads: the same bit for bit, however cut."""

import asyncio
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np

from service.bundle.features import ReadingsSpec, SoundSpec
from service.bundle.scaling import Scaled, Scaler
from service.bundle.sound import Framer, LogMel, mel_of
from service.errors import InvalidInput
from service.sessions.session import Pending
from service.step import Array
from service.tasks.intake import Given, Readings, Sound, Taken, not_taken

T = TypeVar("T")

AT_ONCE = 32_768
"""Samples that are made into frames on the event loop; more would hold up the other callers."""
MAX_FED = 2_000
"""Readings of one feed, and of a series that is scaled and answered on the event loop."""

MOST_NAMES = 12
"""Names of numbers that an error lists."""

SCALE, FRAMES, MORE = "scale", "frames", "more"
"""Parts of what is pending: the intake's own, and what the kind of model adds."""


class ReadingIntake:
    """Readings: each is whole when it comes. Its notes are how they were scaled."""

    def __init__(self, spec: ReadingsSpec, pending: Pending | None) -> None:
        self._spec = spec
        self._pending = pending or {}
        self._scaler = Scaler(spec, self._pending.get(SCALE))

    async def take(self, given: Given, ends: bool) -> Taken:
        if given is None:
            return self.finish()
        if not isinstance(given, Readings):
            raise not_taken(given, "features")
        if len(given.values) > MAX_FED:
            raise InvalidInput(
                f"feed.features has {len(given.values):,} readings; expected at most {MAX_FED:,} at once. Feed the "
                "rest after these",
                field="feed.features",
            )
        return scaled(self._scaler, checked_readings(given, self._spec, "feed.features"))

    def finish(self) -> Taken:
        return scaled(self._scaler, np.zeros((0, self._spec.reading_dim)))

    def pending(self) -> Pending:
        return {**self._pending, SCALE: self._scaler.pending()}


class SoundIntake:
    """Sound: samples are held back until a unit of frames is whole."""

    def __init__(self, spec: SoundSpec, pending: Pending | None) -> None:
        self._spec = spec
        self._pending = pending or {}
        self._framer = Framer(spec, log_mel(spec), self._pending.get(FRAMES))

    async def take(self, given: Given, ends: bool) -> Taken:
        units = [np.zeros((0, self._spec.dim), np.float32)]
        if given is not None:
            if not isinstance(given, Sound):
                raise not_taken(given, "pcm")
            units.append(await _framed(self._framer, checked_sound(given, self._spec, "feed.pcm")))
        if ends:
            units.append(self._framer.finish())
        return Taken(np.concatenate(units))

    def finish(self) -> Taken:
        return Taken(self._framer.finish())

    def pending(self) -> Pending:
        return {**self._pending, FRAMES: self._framer.pending()}


async def units_of(sound: Sound, spec: SoundSpec, field: str) -> Array:
    """All units of a whole recording; InvalidInput where it is none that the model can hear."""
    samples = checked_sound(sound, spec, field)
    if not len(samples):
        raise InvalidInput(f"{field} is empty; expected sound", field=field)
    framer = Framer(spec, log_mel(spec))
    units = await _framed(framer, samples)
    return np.concatenate([units, framer.finish()])


def checked_series(readings: Readings, spec: ReadingsSpec, field: str) -> Array:
    """A whole series `[time, dim]`; InvalidInput where it is none of the model's kind."""
    values = checked_readings(readings, spec, field)
    if not len(values):
        raise InvalidInput(f"{field} is empty; expected at least one reading", field=field)
    return values


def scaled(scaler: Scaler, values: Array) -> Taken:
    """Readings `[time, dim]` as the model reads them."""
    found: Scaled = scaler.scale(values)
    return Taken(found.values, found)


def checked_readings(given: Readings, spec: ReadingsSpec, field: str) -> Array:
    """The readings, which have as many numbers as the model's."""
    dim = given.values.shape[1]
    if dim != spec.reading_dim:
        names = [*spec.names[:MOST_NAMES], *["…"] * (spec.reading_dim > MOST_NAMES)]
        raise InvalidInput(
            f"{field} has readings of {dim} numbers; expected {spec.reading_dim}: {', '.join(names)}",
            field=f"{field}.dim",
        )
    return given.values


def checked_sound(given: Sound, spec: SoundSpec, field: str) -> Array:
    """The samples, which come at the model's rate."""
    if given.sample_rate not in (0, spec.sample_rate):
        raise InvalidInput(
            f"{field} has {given.sample_rate:,} samples a second; this model hears {spec.sample_rate:,}. Convert it: "
            f"sox IN.wav -r {spec.sample_rate} OUT.wav",
            field=f"{field}.sample_rate",
        )
    return given.samples


@lru_cache(maxsize=16)
def log_mel(spec: SoundSpec) -> LogMel:
    """What makes a model's frames, made once."""
    return mel_of(spec)


async def aside(num_readings: int, work: Callable[[], T]) -> T:
    """What comes of the work, done beside the event loop where that many readings would hold it up."""
    return await asyncio.to_thread(work) if num_readings > MAX_FED else work()


async def _framed(framer: Framer, samples: Array) -> Array:
    if len(samples) > AT_ONCE:
        return await asyncio.to_thread(framer.take, samples)
    return framer.take(samples)


class Kept(NamedTuple):
    """What a kind of model keeps beside what its intake holds back."""

    pending: Mapping[str, Any]

    @property
    def more(self) -> Mapping[str, Any]:
        """As it was put there after the last feed; nothing at first."""
        more: Mapping[str, Any] = self.pending.get(MORE, {})
        return more

    def then(self, more: Mapping[str, Any]) -> Pending:
        """What is kept from now on."""
        return {**self.pending, MORE: dict(more)}
