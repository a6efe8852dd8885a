"""Settings of what may be asked for: by one request, and by one owner."""

import json
from typing import Any, Literal

from pydantic import Field, field_validator

from service.config.piece import Piece


class LimitSettings(Piece):
    """What one request may bring."""

    max_texts: int = Field(256, ge=1)
    """Texts in one request."""
    max_text_bytes: int = Field(100_000, ge=1)
    """UTF-8 bytes of one text."""


class QuotaLimits(Piece):
    """What some owners may use, where that differs; what is left out is as for everybody."""

    requests_per_s: float | None = Field(None, ge=0, le=1e6)
    tokens_per_s: float | None = Field(None, ge=0, le=1e9)
    burst_s: float | None = Field(None, ge=0.1, le=3600)
    max_calls: int | None = Field(None, ge=0, le=1_000_000)


class QuotaSettings(Piece):
    """What one owner may use of this server; 0 is no limit. Past it, RESOURCE_EXHAUSTED says when to try again."""

    requests_per_s: float = Field(0.0, ge=0, le=1e6)
    """Calls, and messages sent on a stream."""
    tokens_per_s: float = Field(0.0, ge=0, le=1e9)
    """Tokens read and written. They are counted when they are known: who has used too many waits with the next call."""
    burst_s: float = Field(10.0, ge=0.1, le=3600)
    """How many seconds' worth of both may be used at once, after a pause."""
    max_calls: int = Field(0, ge=0, le=1_000_000)
    """Calls at once, streams among them."""
    max_priority: Literal["high", "normal", "low"] = "high"
    """The highest priority that callers may ask for; who asks for more gets this one."""
    owners: dict[str, QuotaLimits] = Field({})
    """Owners with limits of their own: `[quotas.owners."alice@example.org"]`; as JSON in the environment."""
    roles: dict[Literal["use", "admin"], QuotaLimits] = Field({})
    """The same for all who have a role and are not named as owners; who has admin counts as admin only."""
    max_owners: int = Field(100_000, ge=1)
    """Owners whose use is remembered; past it, whoever was away for longest begins anew."""

    @field_validator("owners", "roles", mode="before")
    @classmethod
    def _from_json(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError('a table is expected, as JSON: {"alice": {"max_calls": 10}}') from None


TABLES = {"quotas.owners", "quotas.roles"}
"""Settings that are tables themselves: what their keys are called is not ours to say."""
