"""The sync client's methods for sound and numbers."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar, Unpack, overload

from service.client import signals
from service.client.options import CaptionOptions, PredictOptions, TranscribeOptions
from service.client.signals import Caption, Prediction, Readings, Recording, Transcription
from service.client.sync_calls import Calls

A = TypeVar("A")
Q = TypeVar("Q")
R = TypeVar("R")
S = TypeVar("S", bound=Recording)


class Signals(Calls):
    """A part of `Client`."""

    @overload
    def transcribe(self, recordings: Recording, **options: Unpack[TranscribeOptions]) -> Transcription: ...
    @overload
    def transcribe(
        self, recordings: list[S] | tuple[S, ...], **options: Unpack[TranscribeOptions]
    ) -> list[Transcription]: ...

    def transcribe(
        self,
        recordings: Recording | list[S] | tuple[S, ...],
        **options: Unpack[TranscribeOptions],
    ) -> Transcription | list[Transcription]:
        """Write down what is said in one recording or a list of them: paths of WAVE files, their bytes, or `Pcm`."""
        all_of_them: Sequence[Recording] = (
            recordings if isinstance(recordings, list | tuple) else [recordings]
        )
        messages = signals.transcribe(all_of_them, options, self._max_texts)
        timeout = self._within(options.get("timeout"))
        found = self._each(
            messages, lambda one: self._sequences.Transcribe(one, timeout=timeout), signals.transcriptions
        )
        return found if isinstance(recordings, list | tuple) else found[0]

    def predict(self, series: Readings, **options: Unpack[PredictOptions]) -> Prediction:
        """Label, or forecast from, each reading of one series `[time][dim]`."""
        return self.predict_many([series], **options)[0]

    def predict_many(self, series: Sequence[Readings], **options: Unpack[PredictOptions]) -> list[Prediction]:
        """The same for several series, in order."""
        messages = signals.predict(series, options, self._max_texts)
        timeout = self._within(options.get("timeout"))
        return self._each(
            messages, lambda one: self._sequences.Predict(one, timeout=timeout), signals.predictions
        )

    def caption(self, vector: Sequence[float], **options: Unpack[CaptionOptions]) -> Caption:
        """Describe one feature vector in words."""
        return self.caption_many([vector], **options)[0]

    def caption_many(
        self, vectors: Sequence[Sequence[float]], **options: Unpack[CaptionOptions]
    ) -> list[Caption]:
        """The same for several vectors, in order."""
        messages = signals.caption(vectors, options, self._max_texts)
        timeout = self._within(options.get("timeout"))
        return self._each(
            messages, lambda one: self._sequences.Caption(one, timeout=timeout), signals.captions
        )

    def _each(self, messages: Iterable[Q], call: Callable[[Q], A], read: Callable[[A], list[R]]) -> list[R]:
        """The answers to all messages, one after the other."""
        return [one for message in messages for one in read(self._asked(partial(call, message)))]
