"""The calls of SequenceService whose input is sound or numbers."""

from collections.abc import Sequence
from typing import Any

import grpc

from seqserve.v1 import input_pb2, model_pb2, sequence_pb2
from service.api.converters import (
    heard_to_proto,
    hypothesis_to_proto,
    model_version_to_proto,
    options_from_proto,
    predicted_to_proto,
)
from service.api.input_converters import array_to_proto, audio_from_proto, features_from_proto
from service.bundle.manifest import Task
from service.config import LimitSettings
from service.errors import InvalidInput
from service.registry import Served
from service.tasks.caption import Caption, caption
from service.tasks.predict import Prediction, predict
from service.tasks.transcribe import HeardText, Search, Transcription, transcribe

Context = grpc.aio.ServicerContext[Any, Any]


class SignalCalls:
    """A part of the servicer, which finds the models."""

    _limits: LimitSettings

    def _find(self, selector: model_pb2.ModelSelector, task: Task) -> Served:
        raise NotImplementedError

    async def Transcribe(  # noqa: N802  (named by the proto)
        self, request: sequence_pb2.TranscribeRequest, context: Context
    ) -> sequence_pb2.TranscribeResponse:
        served = self._find(request.model, "transcribe")
        fields = fields_of("recordings", request.recordings, self._limits)
        recordings = [audio_from_proto(*pair) for pair in zip(request.recordings, fields, strict=True)]
        search = Search.of(request.beam_size, request.num_hypotheses)
        found = await transcribe(served, recordings, fields, search)
        return sequence_pb2.TranscribeResponse(
            model=model_version_to_proto(served), transcriptions=map(transcription_to_proto, found)
        )

    async def Predict(  # noqa: N802
        self, request: sequence_pb2.PredictRequest, context: Context
    ) -> sequence_pb2.PredictResponse:
        served = self._find(request.model, "predict")
        fields = fields_of("series", request.series, self._limits)
        series = [features_from_proto(*pair) for pair in zip(request.series, fields, strict=True)]
        found = await predict(served, series, fields, request.horizon)
        return sequence_pb2.PredictResponse(
            model=model_version_to_proto(served), predictions=map(prediction_to_proto, found)
        )

    async def Caption(  # noqa: N802
        self, request: sequence_pb2.CaptionRequest, context: Context
    ) -> sequence_pb2.CaptionResponse:
        served = self._find(request.model, "caption")
        options = options_from_proto(request.options, served.manifest)
        fields = fields_of("vectors", request.vectors, self._limits)
        vectors = [features_from_proto(*pair) for pair in zip(request.vectors, fields, strict=True)]
        found = await caption(served, vectors, fields, options)
        return sequence_pb2.CaptionResponse(
            model=model_version_to_proto(served), captions=map(caption_to_proto, found)
        )


def caption_to_proto(found: Caption) -> sequence_pb2.Captioning:
    return sequence_pb2.Captioning(hypotheses=map(hypothesis_to_proto, found.hypotheses))


def fields_of(name: str, items: Sequence[Any], limits: LimitSettings) -> list[str]:
    """What each of the items is called in what is refused; InvalidInput where there are none or too many."""
    if not 1 <= len(items) <= limits.max_texts:
        raise InvalidInput(
            f"expected 1 to {limits.max_texts} {name} in one request, not {len(items)}", field=name
        )
    return [f"{name}[{index}]" for index in range(len(items))]


def transcription_to_proto(found: Transcription) -> sequence_pb2.Transcription:
    return sequence_pb2.Transcription(
        text=found.text,
        tokens=map(heard_to_proto, found.tokens),
        seconds=found.seconds,
        hypotheses=map(heard_text_to_proto, found.hypotheses),
    )


def heard_text_to_proto(found: HeardText) -> sequence_pb2.HeardHypothesis:
    return sequence_pb2.HeardHypothesis(
        text=found.text, score=found.score, tokens=map(heard_to_proto, found.tokens)
    )


def prediction_to_proto(found: Prediction) -> sequence_pb2.Prediction:
    ahead: input_pb2.Features | None = array_to_proto(found.ahead) if len(found.ahead) else None
    return sequence_pb2.Prediction(steps=map(predicted_to_proto, found.steps), ahead=ahead)
