"""Many calls in one stream: what the server and the client have in common (protos/seqserve/v1/multiplex.proto).

call ─ messages ─▶ window ─▶ outbox ─┐                     ┌─▶ call ─ messages
call ─ messages ─▶ window ─▶ outbox ─┴─ frames, on gRPC ───┴─▶ call ─ messages
"""

from service.multiplex.inbox import Flooded, Inbox
from service.multiplex.outbox import MAX_FRAMES, Outbox
from service.multiplex.parts import Metadata, headers_of, metadata_of, parts_of, size_of
from service.multiplex.window import Window, cost_of

__all__ = [
    "MAX_FRAMES",
    "Flooded",
    "Inbox",
    "Metadata",
    "Outbox",
    "Window",
    "cost_of",
    "headers_of",
    "metadata_of",
    "parts_of",
    "size_of",
]
