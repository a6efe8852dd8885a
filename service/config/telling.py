"""Settings of what is told of calls: traces and the log."""

from typing import Literal

from pydantic import Field

from service.config.piece import Piece


class TraceSettings(Piece):
    """OpenTelemetry traces of calls; needs the extra `otel`."""

    endpoint: str = ""
    """Where spans are sent by OTLP over gRPC, such as `http://127.0.0.1:4317` (https:// for TLS); empty: no traces."""
    sample: float = Field(1.0, ge=0, le=1)
    """Share of calls that are traced, of those whose caller has not decided that (W3C traceparent)."""
    service_name: str = Field("seqserve", min_length=1, max_length=128)
    """What the spans say that they are of."""


class LogSettings(Piece):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""
    format: Literal["console", "json"] = "console"
    """console for people, json for machines."""
    texts: bool = False
    """Whether level debug shows what callers send and are answered, word for word. For looking for faults only."""
