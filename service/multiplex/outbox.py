"""Frames that wait to be sent: what is laid in while a message is on its way goes with the next one."""

import asyncio
from collections import deque

from seqserve.v1.multiplex_pb2 import Frame
from service.multiplex.parts import MAX_PART

MAX_FRAMES = 1024
"""In what is sent at once."""
MAX_WAITING = 16 * MAX_FRAMES
"""Past it nothing more is asked for that would have to be answered."""
MAX_BYTES = 2 * MAX_PART
"""Of the messages in what is sent at once, but for the last one."""


class Outbox:
    """Of one stream, one way; one reader. Bounded by the windows of its calls."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._has_room: asyncio.Future[None] | None = None
        self._ended = False
        self._error: BaseException | None = None

    def __len__(self) -> int:
        return len(self._frames)

    def lay(self, frame: Frame) -> None:
        """A frame goes out, after those before it."""
        self._frames.append(frame)
        self.wake()

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more goes out than what lies here; the reader gets the error, at once, if there is one."""
        self._ended, self._error = True, error
        self.wake()

    def wake(self) -> None:
        """Let the reader look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self) -> list[Frame] | None:
        """What lies here, as soon as there is something; None when nothing more goes out."""
        while not self._frames and not self._ended:
            await self.woken()
        if self._error is not None:
            raise self._error
        return self._taken() if self._frames else None

    async def room(self) -> None:
        """Wait while too much lies here: the other side does not read what it is told."""
        while len(self._frames) > MAX_WAITING and not self._ended:
            self._has_room = asyncio.get_running_loop().create_future()
            await self._has_room

    async def woken(self) -> None:
        """Wait until there is something to see."""
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _taken(self) -> list[Frame]:
        taken: list[Frame] = []
        size = 0
        while self._frames and len(taken) < MAX_FRAMES and size < MAX_BYTES:
            frame = self._frames.popleft()
            size += len(frame.message)
            taken.append(frame)
        if self._has_room is not None and not self._has_room.done():
            self._has_room.set_result(None)
        return taken
