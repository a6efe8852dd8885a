"""Many calls in one stream: what the server and the client have in common (protos/seqserve/v1/multiplex.proto).

call ─ messages ─▶ window ─▶ outbox ─┐                     ┌─▶ call ─ messages
call ─ messages ─▶ window ─▶ outbox ─┴─ frames, on gRPC ───┴─▶ call ─ messages
"""

from service.multiplex.inbox import Flooded, Inbox
from service.multiplex.outbox import Outbox
from service.multiplex.parts import headers_of, metadata_of, parts_of
from service.multiplex.window import WINDOW, Window, cost_of

__all__ = [
    "WINDOW",
    "Flooded",
    "Inbox",
    "Outbox",
    "Window",
    "cost_of",
    "headers_of",
    "metadata_of",
    "parts_of",
]
