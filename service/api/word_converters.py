"""What is said of words, and texts without some of theirs → messages."""

from seqserve.v1 import decoding_pb2, model_pb2, sequence_pb2
from service.api.converters import (
    finish_to_proto,
    hypothesis_to_proto,
    label_to_proto,
    token_to_proto,
    word_to_proto,
)
from service.tasks.delete import Shortening
from service.tasks.tag import Span, Tagging
from service.tasks.translate import Translation, Written


def tagging_to_proto(tagging: Tagging) -> sequence_pb2.Tagging:
    return sequence_pb2.Tagging(
        words=map(word_to_proto, tagging.words),
        spans=map(span_to_proto, tagging.spans),
        labels=map(label_to_proto, tagging.labels),
        num_tokens=tagging.num_tokens,
    )


def span_to_proto(span: Span) -> decoding_pb2.Span:
    return decoding_pb2.Span(**span._asdict())


def shortening_to_proto(shortening: Shortening) -> sequence_pb2.Summary:
    return sequence_pb2.Summary(
        text=shortening.text,
        words=(sequence_pb2.KeptWord(**word._asdict()) for word in shortening.words),
        num_source_tokens=shortening.num_source_tokens,
    )


def written_summary_to_proto(summary: Translation) -> sequence_pb2.Summary:
    return sequence_pb2.Summary(
        text=summary.hypotheses[0].text,
        hypotheses=map(hypothesis_to_proto, summary.hypotheses),
        num_source_tokens=summary.num_source_tokens,
    )


def summary_part_to_proto(
    written: Written, model: model_pb2.ModelVersion | None, num_source_tokens: int
) -> sequence_pb2.StreamSummarizeResponse:
    """New tokens; with the last of them the whole."""
    part = sequence_pb2.StreamSummarizeResponse(
        output_position=written.position,
        tokens=map(token_to_proto, written.tokens),
        finish_reason=finish_to_proto(written.hypotheses),
        model=model,
    )
    if written.hypotheses:
        whole = Translation(written.hypotheses, num_source_tokens)
        part.summary.CopyFrom(written_summary_to_proto(whole))
    return part
