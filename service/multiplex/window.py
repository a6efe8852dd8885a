"""How much may still be sent to the other side of a call before it has read what is on its way."""

import asyncio

WINDOW = 65_536
"""Bytes that may be on the way from the beginning."""
PER_PART = 32
"""What a part counts beside its bytes: also empty ones take memory."""


def cost_of(message: bytes) -> int:
    """What a part of a message counts."""
    return len(message) + PER_PART


class Window:
    """Of one call, one way. One sender at a time."""

    __slots__ = ("_left", "_waiter")

    def __init__(self) -> None:
        self._left = WINDOW
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the next part may be sent, however large."""
        return self._left > 0

    def spend(self, cost: int) -> None:
        """A part is sent."""
        self._left -= cost

    def grant(self, credit: int) -> None:
        """The other side has read; whatever it says, never more is on the way than from the beginning."""
        self._left = min(WINDOW, self._left + credit)
        self.wake()

    def wake(self) -> None:
        """Let the sender look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def woken(self) -> None:
        """Wait for a grant, or for `wake`."""
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter
