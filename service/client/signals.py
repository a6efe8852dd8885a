"""Sound and numbers on their way: what a caller may give, the messages it becomes, and the results of the answers."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from seqserve.v1 import decoding_pb2, input_pb2, model_pb2, sequence_pb2, session_pb2
from service.client import replies, requests
from service.client.errors import Details, InvalidRequest
from service.client.options import CaptionOptions, PredictOptions, TranscribeOptions
from service.client.outputs import HeardToken, PredictedStep
from service.client.results import Hypothesis, LabelScore, ModelVersion

T = TypeVar("T")

MAX_BYTES = 2_000_000
"""Of one request, one recording or series in it aside."""


class Rows(Protocol):
    """An array `[time, dim]`, of numpy or of others."""

    def tolist(self) -> list[list[float]]: ...


Readings = Sequence[Sequence[float]] | Rows
"""Readings of as many numbers each."""


@dataclass(frozen=True, slots=True)
class Pcm:
    """Sound as 16-bit little-endian samples of one channel."""

    samples: bytes
    sample_rate: int = 0
    """Samples per second; 0: the model's."""


Recording = str | os.PathLike[str] | bytes | Pcm
"""The path of a WAVE file, its bytes, or samples."""


@dataclass(frozen=True, slots=True)
class HeardHypothesis:
    """A text that may have been said."""

    text: str
    score: float
    """Its log-probability; natural."""
    tokens: tuple[HeardToken, ...]


@dataclass(frozen=True, slots=True)
class Transcription:
    """What is said in one recording."""

    text: str
    tokens: tuple[HeardToken, ...]
    seconds: float
    """Length of the recording."""
    model: ModelVersion
    hypotheses: tuple[HeardHypothesis, ...] = ()
    """With a beam: the likeliest texts, best first."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is said to one series."""

    steps: tuple[PredictedStep, ...]
    """One for each reading."""
    ahead: tuple[tuple[float, ...], ...]
    """The readings after the last, as the model sees them coming; as many as `horizon` asked for."""
    model: ModelVersion

    @property
    def labels(self) -> tuple[LabelScore, ...]:
        """The most probable label of each reading."""
        return tuple(step.labels[0] for step in self.steps if step.labels)


@dataclass(frozen=True, slots=True)
class Caption:
    """A description of one feature vector."""

    hypotheses: tuple[Hypothesis, ...]
    """Best first; as many as `num_hypotheses` asked for."""
    model: ModelVersion

    @property
    def text(self) -> str:
        return self.hypotheses[0].text

    def __str__(self) -> str:
        return self.text


def feed_features(readings: Readings, end_of_input: bool) -> session_pb2.SessionRequest:
    fed = session_pb2.Feed(features=features(readings, "feed.features"), end_of_input=end_of_input)
    return session_pb2.SessionRequest(feed=fed)


def feed_pcm(pcm: bytes | Pcm, end_of_input: bool) -> session_pb2.SessionRequest:
    sound = pcm if isinstance(pcm, Pcm) else Pcm(bytes(pcm))
    fed = session_pb2.Feed(pcm=_pcm(sound), end_of_input=end_of_input)
    return session_pb2.SessionRequest(feed=fed)


def end_of_input() -> session_pb2.SessionRequest:
    return session_pb2.SessionRequest(feed=session_pb2.Feed(end_of_input=True))


def transcribe(
    recordings: Sequence[Recording], options: TranscribeOptions, max_items: int
) -> Iterator[sequence_pb2.TranscribeRequest]:
    model, beam = _selector(options), options.get("beam_size") or 0
    num_hypotheses = options.get("num_hypotheses") or 0
    for part in _cut(map(audio, recordings), max_items):
        yield sequence_pb2.TranscribeRequest(
            model=model, recordings=part, beam_size=beam, num_hypotheses=num_hypotheses
        )


def predict(
    series: Sequence[Readings], options: PredictOptions, max_items: int
) -> Iterator[sequence_pb2.PredictRequest]:
    model, horizon = _selector(options), options.get("horizon", 0)
    for part in _cut((features(one, "series") for one in series), max_items):
        yield sequence_pb2.PredictRequest(model=model, series=part, horizon=horizon)


def caption(
    vectors: Sequence[Sequence[float]], options: CaptionOptions, max_items: int
) -> Iterator[sequence_pb2.CaptionRequest]:
    model, decoding = _selector(options), requests.decoding(options)
    for part in _cut((features([one], "vectors") for one in vectors), max_items):
        yield sequence_pb2.CaptionRequest(model=model, vectors=part, options=decoding)


def transcriptions(answer: sequence_pb2.TranscribeResponse) -> list[Transcription]:
    model = replies.model_version(answer.model)
    return [
        Transcription(one.text, _heard(one.tokens), one.seconds, model, _hypotheses(one.hypotheses))
        for one in answer.transcriptions
    ]


def _heard(tokens: Iterable[decoding_pb2.HeardToken]) -> tuple[HeardToken, ...]:
    return tuple(map(replies.heard_token, tokens))


def _hypotheses(found: Iterable[sequence_pb2.HeardHypothesis]) -> tuple[HeardHypothesis, ...]:
    return tuple(HeardHypothesis(one.text, one.score, _heard(one.tokens)) for one in found)


def predictions(answer: sequence_pb2.PredictResponse) -> list[Prediction]:
    model = replies.model_version(answer.model)
    return [
        Prediction(tuple(map(replies.predicted_step, one.steps)), _rows(one.ahead), model)
        for one in answer.predictions
    ]


def captions(answer: sequence_pb2.CaptionResponse) -> list[Caption]:
    model = replies.model_version(answer.model)
    return [Caption(replies.hypotheses(one.hypotheses), model) for one in answer.captions]


def features(readings: Readings, field: str) -> input_pb2.Features:
    """Readings as a message; InvalidRequest where they are not of one size, or not numbers."""
    rows: Any = readings if isinstance(readings, Sequence) else readings.tolist()
    try:
        values = [float(number) for row in rows for number in row]
    except (TypeError, ValueError) as error:
        raise InvalidRequest(
            f"{field}: expected readings of numbers, [time][dim]: {error}", Details(field=field)
        ) from None
    sizes = {len(row) for row in rows}
    if len(sizes) > 1:
        raise InvalidRequest(
            f"{field}: readings of {min(sizes)} and of {max(sizes)} numbers; expected as many in each",
            Details(field=field),
        )
    return input_pb2.Features(dim=max(sizes, default=0), values=values)


def audio(recording: Recording) -> input_pb2.Audio:
    """A recording as a message; InvalidRequest where its file cannot be read."""
    if isinstance(recording, Pcm):
        return input_pb2.Audio(pcm=_pcm(recording))
    if isinstance(recording, bytes):
        return input_pb2.Audio(wav=recording)
    try:
        return input_pb2.Audio(wav=Path(recording).read_bytes())
    except OSError as error:
        raise InvalidRequest(f"{recording} cannot be read: {error.strerror}") from None


def _pcm(sound: Pcm) -> input_pb2.Pcm:
    return input_pb2.Pcm(samples=sound.samples, sample_rate=sound.sample_rate)


def _selector(options: TranscribeOptions | PredictOptions | CaptionOptions) -> model_pb2.ModelSelector:
    return model_pb2.ModelSelector(name=options.get("model", ""), version=options.get("version", ""))


class _Sized(Protocol):
    def ByteSize(self) -> int: ...  # noqa: N802  (protobuf's)


S = TypeVar("S", bound=_Sized)


def _cut(messages: Iterable[S], max_items: int) -> Iterator[list[S]]:
    """Parts of few enough messages that are small enough together."""
    part: list[S] = []
    num_bytes = 0
    for message in messages:
        size = message.ByteSize()
        if part and (len(part) == max_items or num_bytes + size > MAX_BYTES):
            yield part
            part, num_bytes = [], 0
        part.append(message)
        num_bytes += size
    if part:
        yield part


def _rows(message: input_pb2.Features) -> tuple[tuple[float, ...], ...]:
    dim = message.dim or 1
    return tuple(tuple(message.values[start : start + dim]) for start in range(0, len(message.values), dim))
