"""The calls of SequenceService that ask several models at once."""

from collections.abc import Sequence
from typing import Any

import grpc

from seqserve.v1 import model_pb2, sequence_pb2
from service.api.converters import (
    model_version_to_proto,
    options_from_proto,
    too_long_from_proto,
    translation_to_proto,
)
from service.bundle.manifest import Task
from service.config import LimitSettings
from service.errors import InvalidInput
from service.registry import Served
from service.tasks.several import Wanted, translate_severally
from service.tasks.texts import source_of, tokens_of

Context = grpc.aio.ServicerContext[Any, Any]
MAX_MODELS = 16


class SeveralCalls:
    """A part of the servicer, which finds the models."""

    _limits: LimitSettings

    def _find(self, selector: model_pb2.ModelSelector, task: Task) -> Served:
        raise NotImplementedError

    async def MultiTranslate(  # noqa: N802  (named by the proto)
        self, request: sequence_pb2.MultiTranslateRequest, context: Context
    ) -> sequence_pb2.MultiTranslateResponse:
        models = self._models_of(request)
        wanted = [await self._wanted(served, request) for served in models]
        translations, num_readings = await translate_severally(wanted)
        responses = (
            sequence_pb2.TranslateResponse(
                model=model_version_to_proto(served), translations=map(translation_to_proto, found)
            )
            for served, found in zip(models, translations, strict=True)
        )
        return sequence_pb2.MultiTranslateResponse(responses=responses, num_readings=num_readings)

    def _models_of(self, request: sequence_pb2.MultiTranslateRequest) -> Sequence[Served]:
        num = len(request.models)
        if not 1 <= num <= MAX_MODELS:
            raise InvalidInput(f"models: 1 to {MAX_MODELS} are wanted, not {num}", field="models")
        models = [self._find(selector, "translate") for selector in request.models]
        for index, served in enumerate(models):
            if any(served is other for other in models[:index]):
                name = f"{served.manifest.name}/{served.manifest.version}"
                raise InvalidInput(f"models[{index}] is {name} once more", field=f"models[{index}]")
        return models

    async def _wanted(self, served: Served, request: sequence_pb2.MultiTranslateRequest) -> Wanted:
        options = options_from_proto(request.options, served.manifest)
        too_long = too_long_from_proto(request.too_long)
        texts = await tokens_of(request.texts, served.bundle, self._limits, too_long)
        if not (options.return_attention or options.replace_unknowns):
            return Wanted(served, texts, options)
        sources = [
            source_of(text, len(tokens), served.bundle)
            for text, tokens in zip(request.texts, texts, strict=True)
        ]
        return Wanted(served, texts, options, sources)
