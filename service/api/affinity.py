"""Which streams belong together: the key that a client sends so that they come to the same server."""

import re
from typing import Any

import grpc

AFFINITY_HEADER = "seqserve-session"
_IN_AN_ID = re.compile(r"[A-Za-z0-9_-]{1,16}")


def affinity_key(context: "grpc.aio.ServicerContext[Any, Any]") -> str:
    """The key to put into the id of a new session; empty where none was sent that fits there."""
    for key, value in context.invocation_metadata() or ():
        if key == AFFINITY_HEADER and isinstance(value, str) and _IN_AN_ID.fullmatch(value):
            return value
    return ""
