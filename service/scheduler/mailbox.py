"""Carries what jobs make from the scheduler's thread to an event loop, with one wake-up for a whole batch.

    scheduler's thread                     │  event loop
    job → put → fresh ─┐                   │
    job → put → fresh ─┴─ Post.flush ──────┼─▶ one call for each loop → arrived → async for items in mailbox

No state is shared: `_fresh` belongs to the scheduler's thread, `_arrived` to the loop, and only whole lists cross over.
"""

import asyncio
import threading
from typing import Any, Generic, TypeVar

from service.errors import SeqserveError

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Items in order, then the end. One reader; `put`, `close` and `fail` may be called from any thread.

    What comes after the end is dropped. A mailbox whose loop is closed drops everything.
    """

    def __init__(self, post: "Post", loop: asyncio.AbstractEventLoop) -> None:
        raise NotImplementedError

    def put(self, item: T) -> None:
        """Add an item; it crosses over with the batch that made it."""
        raise NotImplementedError

    def close(self) -> None:
        """End the iteration after the items put so far."""
        raise NotImplementedError

    def fail(self, error: SeqserveError) -> None:
        """Raise the error in the reader, after the items put so far."""
        raise NotImplementedError

    def __aiter__(self) -> "Mailbox[T]":
        return self

    async def __anext__(self) -> list[T]:
        """Wait for something to come and return all that came since the last look."""
        raise NotImplementedError


class Post:
    """The mailboxes of one scheduler."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._written: list[Mailbox[Any]] = []
