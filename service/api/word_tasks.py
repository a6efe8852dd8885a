"""Requests about the words of texts: labels for them, and shorter texts of them or of others."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from seqserve.v1 import sequence_pb2
from service.api.converters import model_version_to_proto, options_from_proto, too_long_from_proto
from service.api.word_converters import (
    shortening_to_proto,
    summary_part_to_proto,
    tagging_to_proto,
    written_summary_to_proto,
)
from service.config import LimitSettings
from service.errors import InvalidInput
from service.registry import Served
from service.tasks.decoding import DecodingOptions
from service.tasks.delete import ratio_of, shorten
from service.tasks.summarize import deletes
from service.tasks.tag import tag
from service.tasks.texts import NO_SOURCE, Source, cut_texts, source_of, tokens_of
from service.tasks.translate import stream_translate, translate

Asked = sequence_pb2.SummarizeRequest | sequence_pb2.StreamSummarizeRequest


async def tagged(
    served: Served, request: sequence_pb2.TagRequest, limits: LimitSettings
) -> sequence_pb2.TagResponse:
    too_long = too_long_from_proto(request.too_long)
    texts = await cut_texts(request.texts, served.bundle, limits, too_long)
    taggings = await tag(served, texts)
    return sequence_pb2.TagResponse(
        model=model_version_to_proto(served), taggings=map(tagging_to_proto, taggings)
    )


async def summarized(
    served: Served, request: sequence_pb2.SummarizeRequest, limits: LimitSettings
) -> sequence_pb2.SummarizeResponse:
    model, too_long = model_version_to_proto(served), too_long_from_proto(request.too_long)
    _check_fits(served, request)
    if deletes(served):
        cut = await cut_texts(request.texts, served.bundle, limits, too_long)
        shorter = await shorten(served, cut, ratio_of(request.max_ratio))
        return sequence_pb2.SummarizeResponse(model=model, summaries=map(shortening_to_proto, shorter))
    options = options_from_proto(request.options, served.manifest)
    texts = await tokens_of(request.texts, served.bundle, limits, too_long)
    sources = [_source(served, *each, options) for each in zip(request.texts, texts, strict=True)]
    written = await translate(served, texts, options, sources)
    return sequence_pb2.SummarizeResponse(model=model, summaries=map(written_summary_to_proto, written))


async def streamed_summary(
    served: Served, request: sequence_pb2.StreamSummarizeRequest, limits: LimitSettings
) -> AsyncGenerator[sequence_pb2.StreamSummarizeResponse, None]:
    model, too_long = model_version_to_proto(served), too_long_from_proto(request.too_long)
    _check_fits(served, request)
    if deletes(served):
        cut = await cut_texts([request.text], served.bundle, limits, too_long, field="text")
        [shorter] = await shorten(served, cut, ratio_of(request.max_ratio))
        yield sequence_pb2.StreamSummarizeResponse(model=model, summary=shortening_to_proto(shorter))
        return
    options = options_from_proto(request.options, served.manifest)
    [text] = await tokens_of([request.text], served.bundle, limits, too_long, field="text")
    source = _source(served, request.text, text, options)
    async with aclosing(stream_translate(served, text, options, source)) as all_written:
        first = True
        async for written in all_written:
            yield summary_part_to_proto(written, model if first else None, len(text))
            first = False


def _source(served: Served, text: str, tokens: Sequence[int], options: DecodingOptions) -> Source:
    return source_of(text, len(tokens), served.bundle) if options.replace_unknowns else NO_SOURCE


def _is_greedy(option: str, value: object) -> bool:
    """What clients ask of every stream; it means nothing where nothing is written."""
    return option == "beam_size" and value == 1


def _check_fits(served: Served, request: Asked) -> None:
    """Some options are for models that write, one is for those that delete."""
    name = served.manifest.name
    given = next(
        (option.name for option, value in request.options.ListFields() if not _is_greedy(option.name, value)),
        "",
    )
    if deletes(served) and given:
        raise InvalidInput(
            f"{name} leaves words out and writes nothing; expected max_ratio, not options.{given}",
            field=f"options.{given}",
        )
    if not deletes(served) and request.max_ratio:
        raise InvalidInput(f"{name} writes its summaries; expected options, not max_ratio", field="max_ratio")
