"""Carries what jobs make from the scheduler's thread to an event loop, with one wake-up for a whole batch.

    scheduler's thread                     │  event loop
    job → put → fresh ─┐                   │
    job → put → fresh ─┴─ Post.flush ──────┼─▶ Route: one call for all → arrived → async for items in mailbox

No state is shared: `_fresh` belongs to the scheduler's thread, the rest to the loop; only whole lists cross over.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from service.errors import SeqserveError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class End:
    """Comes after the last item."""

    error: SeqserveError | None = None


class Mailbox(Generic[T]):
    """Items in order, then the end. One reader; `put`, `close` and `fail` may be called from any thread.

    What comes after the end is dropped. A mailbox whose loop is closed drops everything.
    """

    def __init__(self, post: "Post", loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._post = post
        self._fresh: list[T | End] = []
        self._arrived: list[T] = []
        self._end: End | None = None
        self._reader: asyncio.Future[None] | None = None

    def put(self, item: T) -> None:
        """Add an item; from a job, it crosses over with the batch that made it."""
        self._post.carry(self, item)

    def close(self) -> None:
        """End the iteration after the items put so far."""
        self._post.carry(self, End())

    def fail(self, error: SeqserveError) -> None:
        """Raise the error in the reader, after the items put so far."""
        self._post.carry(self, End(error))

    def __aiter__(self) -> "Mailbox[T]":
        return self

    async def __anext__(self) -> list[T]:
        """Wait for something to come and return all that came since the last look."""
        while not self._arrived:
            if self._end is not None:
                raise self._end.error or StopAsyncIteration
            self._reader = self.loop.create_future()
            await self._reader
        items, self._arrived = self._arrived, []
        return items

    def empty(self) -> "list[T | End]":
        """Take what is fresh; on the scheduler's thread."""
        items, self._fresh = self._fresh, []
        return items

    def lay(self, item: "T | End") -> bool:
        """Add to what is fresh, on the scheduler's thread; whether it is the first since the last flush."""
        self._fresh.append(item)
        return len(self._fresh) == 1

    def take(self, item: T) -> None:
        """Take one item in, on the loop."""
        if self._end is None:
            self._arrived.append(item)
            if self._reader is not None and not self._reader.done():
                self._reader.set_result(None)

    def deliver(self, items: "Sequence[T | End]") -> None:
        """Take items in, on the loop."""
        for item in items:
            if self._end is not None:
                break
            if isinstance(item, End):
                self._end = item
            else:
                self._arrived.append(item)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class Post:
    """The mailboxes of one scheduler: what its thread puts waits for the flush, what others put goes at once."""

    def __init__(self) -> None:
        self._thread: int | None = None
        self._written: list[Mailbox[Any]] = []
        self._letters: list[tuple[asyncio.AbstractEventLoop, Letter]] = []
        self._routes: dict[asyncio.AbstractEventLoop, Route] = {}

    def adopt_thread(self) -> None:
        """Take the calling thread for the scheduler's."""
        self._thread = threading.get_ident()

    def carry(self, mailbox: Mailbox[T], item: T | End) -> None:
        """Bring an item on its way."""
        if threading.get_ident() != self._thread:
            _call(mailbox.loop, mailbox.deliver, [item])
        elif mailbox.lay(item):
            self._written.append(mailbox)

    def send(self, loop: asyncio.AbstractEventLoop, opened: Callable[[Any], None], content: Any) -> None:
        """Let a function be called on a loop, before what lies in the mailboxes; on the scheduler's thread."""
        self._letters.append((loop, (opened, content)))

    def flush(self) -> None:
        """Hand everything over."""
        written, self._written = self._written, []
        letters, self._letters = self._letters, []
        bags: dict[asyncio.AbstractEventLoop, list[Letter]] = {}
        for loop, letter in letters:
            bags.setdefault(loop, []).append(letter)
        for mailbox in written:
            bags.setdefault(mailbox.loop, []).append((mailbox.deliver, mailbox.empty()))
        for loop, bag in bags.items():
            self._route(loop).carry(bag)

    def _route(self, loop: asyncio.AbstractEventLoop) -> "Route":
        if loop not in self._routes:
            self._routes = {known: route for known, route in self._routes.items() if not known.is_closed()}
            self._routes[loop] = Route(loop)
        return self._routes[loop]


Letter = tuple[Callable[[Any], None], Any]


class Route:
    """The way to one event loop, which gives at most half of its time to what comes this way.

    While a bag is being worked on, and as long again, the next ones wait and then come together. So where many read,
    each of them is woken once for several tokens, and the loop is never behind by more than what it is working on.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._bags: deque[list[Letter]] = deque()
        self._is_awake = False

    def carry(self, bag: list[Letter]) -> None:
        """Bring a bag on its way; on the scheduler's thread."""
        self._bags.append(bag)
        if self._loop.is_closed():
            self._bags.clear()
        elif not self._is_awake:
            self._is_awake = True
            _call(self._loop, self._deliver)

    def _deliver(self) -> None:
        """On the loop: open what is there, and rest for as long as those who are woken need for their turn."""
        began = self._loop.time()
        for _ in range(len(self._bags)):
            for opened, content in self._bags.popleft():
                self._open(opened, content)
        self._loop.call_soon(self._rest, began)

    def _open(self, opened: Callable[[Any], None], content: Any) -> None:
        """Whoever breaks over a letter breaks alone: those of the others are still to be opened."""
        try:
            opened(content)
        except Exception as error:
            context = {"message": "what came from the scheduler could not be taken in", "exception": error}
            self._loop.call_exception_handler(context)

    def _rest(self, began: float) -> None:
        took = self._loop.time() - began
        if took < SHORT_S:
            self._look_again()
        else:
            self._loop.call_later(min(took * REST, LONGEST_REST_S), self._look_again)

    def _look_again(self) -> None:
        if not self._bags:
            self._is_awake = False
        if self._bags:  # also what came in between, and saw that the loop was awake
            self._is_awake = True
            self._deliver()


SHORT_S = 0.001
"""Work for which the loop need not rest."""
REST = 1.0
"""Times as long as the work took."""
LONGEST_REST_S = 0.05
"""How late a token comes at most."""


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: Any) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody is left to read
        loop.call_soon_threadsafe(function, *arguments)
