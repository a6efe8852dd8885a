"""Whose a call is."""

from typing import Any

import grpc

from service.errors import InvalidInput

OWNER_HEADER = "seqserve-owner"
MAX_OWNER_CHARS = 128


class Owners:
    """Tells whose a call is: nobody's in particular, or what a trusted proxy says in its header."""

    def __init__(self, *, trust_header: bool) -> None:
        self._trusts_header = trust_header

    def owner_of(self, context: "grpc.aio.ServicerContext[Any, Any]") -> str:
        if not self._trusts_header:
            return ""
        values = [value for key, value in context.invocation_metadata() or () if key == OWNER_HEADER]
        if not values:
            return ""
        if len(values) > 1 or not isinstance(values[0], str) or not 0 < len(values[0]) <= MAX_OWNER_CHARS:
            raise InvalidInput(
                f"the header {OWNER_HEADER} names one owner in 1 to {MAX_OWNER_CHARS} characters"
            )
        return values[0]
