"""What has come for one call and was not read yet: whole messages, in order, and what is to be granted for them."""

import asyncio
from collections import deque

from service.multiplex.parts import MAX_PART
from service.multiplex.window import PER_PART, WINDOW, cost_of

MOST = WINDOW + MAX_PART + PER_PART
"""What can be on the way where the part that goes past the window is the last."""
GRANT_FROM = WINDOW // 2
"""Less is not worth a frame."""


class Flooded(Exception):
    """More has come than may be sent."""


class Inbox:
    """Of one call, one way. One reader at a time."""

    __slots__ = (
        "_ended",
        "_max_bytes",
        "_messages",
        "_part_bytes",
        "_parts",
        "_read",
        "_ungranted",
        "_waiter",
    )

    def __init__(self, max_bytes: int) -> None:
        """`max_bytes`: of a message."""
        self._max_bytes = max_bytes
        self._messages: deque[tuple[bytes, int]] = deque()
        self._parts: list[bytes] = []
        self._part_bytes = 0
        self._ungranted = self._read = 0
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def take(self, part: bytes, more: bool) -> None:
        """A part has come; Flooded where it was not granted, or makes its message too large."""
        cost = cost_of(part)
        self._ungranted += cost
        if self._ungranted > MOST:
            raise Flooded(f"more was sent than was granted: at most {WINDOW:,} bytes may be unread")
        if more or self._parts:
            self._gather(part, more)
            self._read += cost  # it lies here until the rest has come, which must be let in
        else:
            self._check_size(len(part))
            self._messages.append((part, cost))
        self._wake()

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._wake()

    async def next(self) -> bytes | None:
        """The next message; None when nothing more comes."""
        while not self._messages:
            if self._ended:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        message, cost = self._messages.popleft()
        self._read += cost
        return message

    def credit(self) -> int:
        """What is to be granted now, once; 0 where it is not worth saying yet."""
        if self._read < GRANT_FROM:
            return 0
        credit, self._read = self._read, 0
        self._ungranted -= credit
        return credit

    def _gather(self, part: bytes, more: bool) -> None:
        self._part_bytes += len(part)
        self._check_size(self._part_bytes)
        self._parts.append(part)
        if not more:
            self._messages.append((b"".join(self._parts), 0))
            self._parts, self._part_bytes = [], 0

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise Flooded(f"a message of {size:,} bytes or more: at most {self._max_bytes:,} are taken")

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
