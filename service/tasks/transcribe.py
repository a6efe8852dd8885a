"""Transcription: of whole recordings, and of sound while somebody speaks. What was heard is never taken back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from service.bundle.best_path import BLANK, Heard, best_path
from service.bundle.sound import heard_after
from service.config import LimitSettings
from service.errors import InvalidInput
from service.registry import Served
from service.sessions import NOTHING_READ, Reading
from service.sessions.session import Pending
from service.step import Arrays
from service.tasks.decoding.options import MAX_BEAM_SIZE
from service.tasks.decoding.prefix_beam import Spoken, prefix_beam
from service.tasks.intake import Sound, Taken
from service.tasks.jobs import run_all
from service.tasks.reader import Reader
from service.tasks.said import HeardToken, Said
from service.tasks.signals import Kept, SoundIntake, units_of


@dataclass(frozen=True, slots=True)
class Transcription:
    """What is said in one recording."""

    text: str
    tokens: tuple[HeardToken, ...]
    seconds: float
    """Length of the recording."""
    hypotheses: tuple["HeardText", ...] = ()
    """Of a search, best first."""


class HeardText(NamedTuple):
    """A text that may have been said."""

    text: str
    tokens: tuple[HeardToken, ...]
    score: float
    """Its log-probability."""


@dataclass(frozen=True, slots=True)
class Search:
    """How many texts are kept side by side, and how many of them told; the default takes the best path."""

    beam_size: int = 1
    num_hypotheses: int = 1

    @classmethod
    def of(cls, beam_size: int, num_hypotheses: int) -> "Search":
        """0 is what was not asked for; InvalidInput names the field and what it may be."""
        if not 0 <= beam_size <= MAX_BEAM_SIZE:
            raise InvalidInput(
                f"beam_size must be 1 to {MAX_BEAM_SIZE} (0: 1), not {beam_size}", field="beam_size"
            )
        if not 0 <= num_hypotheses <= max(beam_size, 1):
            raise InvalidInput(
                f"num_hypotheses must be 1 to {max(beam_size, 1)} (beam_size), not {num_hypotheses}",
                field="num_hypotheses",
            )
        return cls(max(beam_size, 1), max(num_hypotheses, 1))


BEST_PATH = Search()


class Transcriber:
    """Answers each feed with what was heard in it. Between feeds it keeps the last label, which is not said twice."""

    max_inputs = None

    def __init__(self, served: Served, limits: LimitSettings) -> None:
        self.served = served
        self.reader = _reader(served)

    def intake(self, pending: Pending | None) -> SoundIntake:
        return SoundIntake(self.served.bundle.sound, pending)

    def say(
        self, taken: Taken, outputs: Sequence[Arrays], reading: Reading, pending: Pending | None
    ) -> tuple[Said, Pending | None]:
        kept = Kept(pending or {})
        ear = Ear(self.served, reading.num_tokens - len(taken), kept.more)
        heard = [token for each in outputs for token in ear.hear(each)]
        return Said(heard=tuple(heard)), kept.then(ear.state())


class Ear:
    """Makes tokens of what the model says to one unit after the other."""

    def __init__(self, served: Served, start: int = 0, state: Pending | None = None) -> None:
        """After `start` units, in the `state` that another left."""
        self._sound, tokenizer = served.bundle.sound, served.bundle.tokenizer
        self._at = start
        self._last = int(state["last"]) if state else BLANK
        self._text = tokenizer.text_stream(bool(state and state["started"]))

    def hear(self, outputs: Arrays) -> list[HeardToken]:
        """The tokens in `log_probs` [units, tokens]."""
        ids = outputs["log_probs"].argmax(axis=-1)
        found = [self._token(heard) for heard in best_path(ids, self._last)]
        self._at, self._last = self._at + len(ids), int(ids[-1])
        return found

    def state(self) -> Pending:
        """Plain JSON values."""
        return {"last": self._last, **self._text.state()}

    def _token(self, heard: Heard) -> HeardToken:
        seconds = heard_after(self._sound, self._at + heard.step)
        return HeardToken(heard.token, self._text.push(heard.token), seconds)


async def transcribe(
    served: Served, recordings: Sequence[Sound], fields: Sequence[str], search: Search = BEST_PATH
) -> list[Transcription]:
    """In the order of the recordings; all or none. `fields` name them in what is refused."""
    sound = served.bundle.sound
    units = []
    for recording, field in zip(recordings, fields, strict=True):
        units.append(await units_of(recording, sound, field))
        _check_length(served, len(units[-1]), field)
        await asyncio.sleep(0)  # many recordings leave the loop to others
    reader = _reader(served)
    read = await run_all(served.scheduler, [reader.read(each, NOTHING_READ) for each in units])
    found = []
    for (_, outputs), recording in zip(read, recordings, strict=True):
        seconds = len(recording.samples) / sound.sample_rate
        if search.beam_size > 1:
            found.append(await asyncio.to_thread(_searched, served, outputs, seconds, search))
        else:
            found.append(_transcription(served, outputs, seconds))
    return found


def _searched(served: Served, outputs: Sequence[Arrays], seconds: float, search: Search) -> Transcription:
    """Takes a moment: milliseconds for each second of sound."""
    log_probs = np.concatenate([each["log_probs"] for each in outputs])
    spoken = prefix_beam(log_probs, search.beam_size)[: search.num_hypotheses]
    texts = tuple(_text(served, each) for each in spoken)
    return Transcription(texts[0].text, texts[0].tokens, seconds, texts)


def _text(served: Served, spoken: Spoken) -> HeardText:
    sound, stream = served.bundle.sound, served.bundle.tokenizer.text_stream(False)
    tokens = tuple(
        HeardToken(each.token, stream.push(each.token), heard_after(sound, each.step))
        for each in spoken.heard
    )
    return HeardText("".join(token.piece for token in tokens), tokens, spoken.log_prob)


def _transcription(served: Served, outputs: Sequence[Arrays], seconds: float) -> Transcription:
    ear = Ear(served)
    tokens = tuple(token for each in outputs for token in ear.hear(each))
    return Transcription("".join(token.piece for token in tokens), tokens, seconds)


def _check_length(served: Served, num_units: int, field: str) -> None:
    limit = served.manifest.limits.max_input_tokens
    if num_units > limit:
        sound = served.bundle.sound
        raise InvalidInput(
            f"{field} is too long: {served.manifest.name} hears at most {heard_after(sound, limit - 1):,.0f} seconds "
            "at once. Split it, or feed it to a session",
            field=field,
        )


def _reader(served: Served) -> Reader:
    return Reader.of(served.manifest, "hear", "features")
