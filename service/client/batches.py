"""How a stream of texts is cut into requests, without a transport: shared by the sync and the async client."""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Batches(Generic[T]):
    """Groups what comes one by one into requests, several of them under way at once.

    With nothing under way the first item goes at once; while something is, items gather until they fill a request or
    the input ends (Nagle's algorithm). So a slow source gets each answer soon, and a fast one full requests.
    """

    max_items: int
    """Items of one request."""
    max_under_way: int
    """Requests sent whose answers have not been handed on."""
    under_way: int = 0
    ended: bool = False
    _waiting: deque[T] = field(default_factory=deque)

    @property
    def full(self) -> bool:
        """Whether the source should wait."""
        return len(self._waiting) >= self.max_items

    @property
    def done(self) -> bool:
        return self.ended and not self._waiting and not self.under_way

    def add(self, item: T) -> None:
        self._waiting.append(item)

    def take(self) -> list[T]:
        """Return the items of the next request; none while there is nothing to send yet."""
        if self.under_way >= self.max_under_way or not self._worth_sending():
            return []
        self.under_way += 1
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), self.max_items))]

    def landed(self) -> None:
        """Note that the answers of one request were handed on."""
        self.under_way -= 1

    def give_up(self) -> None:
        """Forget what has not been sent."""
        self._waiting.clear()

    def _worth_sending(self) -> bool:
        return bool(self._waiting) and (self.full or self.ended or not self.under_way)
