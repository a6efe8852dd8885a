"""The calls of SequenceService that go on with texts."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import grpc

from seqserve.v1 import model_pb2, sequence_pb2
from service.api.converters import (
    finish_to_proto,
    hypothesis_to_proto,
    model_version_to_proto,
    options_from_proto,
    selection_from_proto,
    token_to_proto,
    too_long_from_proto,
)
from service.config import LimitSettings
from service.errors import InvalidInput
from service.registry import Registry, Served
from service.tasks.generate import Generation, generate, stream_generate
from service.tasks.texts import TooLong, prompts_of
from service.tasks.translate import Written

Context = grpc.aio.ServicerContext[Any, Any]


class LanguageCalls:
    """A part of the servicer."""

    _registry: Registry
    _limits: LimitSettings

    async def Generate(  # noqa: N802  (named by the proto)
        self, request: sequence_pb2.GenerateRequest, context: Context
    ) -> sequence_pb2.GenerateResponse:
        served = self._language_model(request.model)
        options = options_from_proto(request.options, served.manifest)
        too_long = too_long_from_proto(request.too_long)
        prompts = await self._prompts(served, request.prompts, too_long, "prompts[{}]")
        found = await generate(served, prompts, options)
        return sequence_pb2.GenerateResponse(
            model=model_version_to_proto(served), generations=map(generation_to_proto, found)
        )

    async def StreamGenerate(  # noqa: N802
        self, request: sequence_pb2.StreamGenerateRequest, context: Context
    ) -> AsyncGenerator[sequence_pb2.StreamGenerateResponse, None]:
        served = self._language_model(request.model)
        options = options_from_proto(request.options, served.manifest)
        too_long = too_long_from_proto(request.too_long)
        [prompt] = await self._prompts(served, [request.prompt], too_long, "prompt")
        model: model_pb2.ModelVersion | None = model_version_to_proto(served)
        async with aclosing(stream_generate(served, prompt, options)) as all_written:
            async for written in all_written:
                yield continuation_to_proto(written, model)
                model = None

    async def _prompts(
        self, served: Served, texts: Sequence[str], too_long: TooLong, field: str
    ) -> list[list[int]]:
        """Their tokens; a text may begin with what is written, but nobody replies to nothing."""
        prompts = await prompts_of(texts, served.bundle, self._limits, too_long, field=field)
        if served.manifest.task == "chat" and [] in prompts:
            empty = field.format(prompts.index([]))
            raise InvalidInput(
                f"{empty} says nothing; expected a turn a line, the last to be replied to", field=empty
            )
        return prompts

    def _language_model(self, selector: model_pb2.ModelSelector) -> Served:
        """One that goes on with texts, or one that replies; where neither is named, the one that goes on with them."""
        asked = selection_from_proto(selector)
        replies = any(
            served.manifest.name == asked["name"] and served.manifest.task == "chat"
            for served in self._registry.all()
        )
        return self._registry.find(**asked, task="chat" if replies else "generate")


def generation_to_proto(found: Generation) -> sequence_pb2.Generation:
    return sequence_pb2.Generation(
        hypotheses=map(hypothesis_to_proto, found.hypotheses), num_prompt_tokens=found.num_prompt_tokens
    )


def continuation_to_proto(
    written: Written, model: model_pb2.ModelVersion | None
) -> sequence_pb2.StreamGenerateResponse:
    return sequence_pb2.StreamGenerateResponse(
        output_position=written.position,
        tokens=map(token_to_proto, written.tokens),
        finish_reason=finish_to_proto(written.hypotheses),
        hypotheses=map(hypothesis_to_proto, written.hypotheses or ()),
        model=model,
    )
