"""Whose a call is."""

from collections.abc import Iterable
from typing import Any

import grpc

from service.api.callers import MAX_OWNER_CHARS, THIS_CALL
from service.errors import InvalidInput

OWNER_HEADER = "seqserve-owner"


class Owners:
    """Tells servicers whose a call is: what the door has found out."""

    def owner_of(self, context: "grpc.aio.ServicerContext[Any, Any]") -> str:
        """The owner; empty for nobody in particular."""
        return THIS_CALL.get().owner


def owner_in_header(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    """Whom a proxy names as the owner; None where it names nobody. InvalidInput."""
    values = [value for key, value in metadata if key == OWNER_HEADER]
    if not values:
        return None
    if len(values) > 1 or not isinstance(values[0], str) or not 0 < len(values[0]) <= MAX_OWNER_CHARS:
        raise InvalidInput(f"the header {OWNER_HEADER} names one owner in 1 to {MAX_OWNER_CHARS} characters")
    return values[0]
