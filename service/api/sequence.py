"""SequenceService: requests to tasks and sessions, their answers to responses. Errors rise to the interceptor."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from seqserve.v1 import model_pb2, sequence_pb2, sequence_pb2_grpc, session_pb2
from service.api.affinity import affinity_key
from service.api.calls import Calls
from service.api.converters import (
    classification_to_proto,
    model_version_to_proto,
    num_labels_from_proto,
    options_from_proto,
    pairs_from_proto,
    selection_from_proto,
    target_score_to_proto,
    too_long_from_proto,
    translation_to_proto,
    written_to_proto,
)
from service.api.language import LanguageCalls
from service.api.owners import Owners
from service.api.session_stream import SessionStream
from service.api.several import SeveralCalls
from service.api.signals import SignalCalls
from service.api.word_tasks import streamed_summary, summarized, tagged
from service.bundle.manifest import Task
from service.config import LimitSettings
from service.registry import Registry, Served
from service.sessions import Sessions
from service.tasks.classify import classify
from service.tasks.scorers import score
from service.tasks.texts import NO_SOURCE, source_of, tokens_of
from service.tasks.translate import stream_translate, translate

Context = grpc.aio.ServicerContext[Any, Any]


class SequenceServicer(SignalCalls, LanguageCalls, SeveralCalls, sequence_pb2_grpc.SequenceServiceServicer):
    """One method for each RPC; the protos say what each promises."""

    def __init__(
        self, registry: Registry, sessions: Sessions, limits: LimitSettings, owners: Owners, calls: Calls
    ) -> None:
        self._registry = registry
        self._sessions = sessions
        self._limits = limits
        self._owners = owners
        self._calls = calls

    async def Translate(  # noqa: N802  (named by the proto)
        self, request: sequence_pb2.TranslateRequest, context: Context
    ) -> sequence_pb2.TranslateResponse:
        served = self._find(request.model, "translate")
        options = options_from_proto(request.options, served.manifest)
        too_long = too_long_from_proto(request.too_long)
        texts = await tokens_of(request.texts, served.bundle, self._limits, too_long)
        sources = [
            source_of(text, len(tokens), served.bundle)
            for text, tokens in zip(request.texts, texts, strict=True)
            if options.return_attention or options.replace_unknowns
        ]
        translations = await translate(served, texts, options, sources)
        return sequence_pb2.TranslateResponse(
            model=model_version_to_proto(served), translations=map(translation_to_proto, translations)
        )

    async def StreamTranslate(  # noqa: N802
        self, request: sequence_pb2.StreamTranslateRequest, context: Context
    ) -> AsyncGenerator[sequence_pb2.StreamTranslateResponse, None]:
        served = self._find(request.model, "translate")
        options = options_from_proto(request.options, served.manifest)
        too_long = too_long_from_proto(request.too_long)
        [text] = await tokens_of([request.text], served.bundle, self._limits, too_long, field="text")
        source = source_of(request.text, len(text), served.bundle) if options.replace_unknowns else NO_SOURCE
        model: model_pb2.ModelVersion | None = model_version_to_proto(served)
        async with aclosing(stream_translate(served, text, options, source)) as all_written:
            async for written in all_written:
                yield written_to_proto(written, model)
                model = None

    async def Score(  # noqa: N802
        self, request: sequence_pb2.ScoreRequest, context: Context
    ) -> sequence_pb2.ScoreResponse:
        served = self._registry.find(**selection_from_proto(request.model))
        too_long = too_long_from_proto(request.too_long)
        scores = await score(served, pairs_from_proto(request.pairs), self._limits, too_long)
        return sequence_pb2.ScoreResponse(
            model=model_version_to_proto(served), scores=map(target_score_to_proto, scores)
        )

    async def Classify(  # noqa: N802
        self, request: sequence_pb2.ClassifyRequest, context: Context
    ) -> sequence_pb2.ClassifyResponse:
        served = self._find(request.model, "classify")
        num_labels = num_labels_from_proto(request.num_labels)
        too_long = too_long_from_proto(request.too_long)
        texts = await tokens_of(request.texts, served.bundle, self._limits, too_long)
        classifications = await classify(served, texts, num_labels)
        return sequence_pb2.ClassifyResponse(
            model=model_version_to_proto(served),
            classifications=map(classification_to_proto, classifications),
        )

    async def Tag(  # noqa: N802
        self, request: sequence_pb2.TagRequest, context: Context
    ) -> sequence_pb2.TagResponse:
        return await tagged(self._find(request.model, "tag"), request, self._limits)

    async def Summarize(  # noqa: N802
        self, request: sequence_pb2.SummarizeRequest, context: Context
    ) -> sequence_pb2.SummarizeResponse:
        return await summarized(self._find(request.model, "summarize"), request, self._limits)

    async def StreamSummarize(  # noqa: N802
        self, request: sequence_pb2.StreamSummarizeRequest, context: Context
    ) -> AsyncGenerator[sequence_pb2.StreamSummarizeResponse, None]:
        served = self._find(request.model, "summarize")
        async with aclosing(streamed_summary(served, request, self._limits)) as parts:
            async for part in parts:
                yield part

    async def Session(  # noqa: N802
        self, request_iterator: AsyncIterator[session_pb2.SessionRequest], context: Context
    ) -> AsyncGenerator[session_pb2.SessionResponse, None]:
        owner = self._owners.owner_of(context)
        key = affinity_key(context)
        stream = SessionStream(self._registry, self._sessions, self._limits, owner, self._calls, key)
        async with aclosing(stream.answers(request_iterator)) as answers:
            async for answer in answers:
                yield answer

    def _find(self, selector: model_pb2.ModelSelector, task: Task) -> Served:
        """Overloaded where it would take nothing now: before anything has been done."""
        served = self._registry.find(**selection_from_proto(selector), task=task)
        served.scheduler.check_room()
        return served
