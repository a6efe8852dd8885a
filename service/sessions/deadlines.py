"""When sessions end, in buckets of a second: nobody has to look at all of them."""

import heapq
import math
from itertools import islice


class Deadlines:
    """A timing wheel. Each key is in one bucket, which its owner remembers; every operation costs the same at any size.

    A key is due up to a second after its time. Whoever lives longer than was foreseen is added again when it is due:
    so what happens often, that a session lives on, costs nothing.
    """

    def __init__(self) -> None:
        self._buckets: dict[int, dict[str, None]] = {}
        self._order: list[int] = []
        """A heap of all buckets that there are, and of some that have emptied."""

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def add(self, key: str, at: float) -> int:
        """The bucket that the key is in now."""
        bucket = bucket_of(at)
        if bucket not in self._buckets:
            self._buckets[bucket] = {}
            heapq.heappush(self._order, bucket)
        self._buckets[bucket][key] = None
        return bucket

    def remove(self, key: str, bucket: int) -> None:
        """Take a key out of its bucket, if it is still there."""
        keys = self._buckets.get(bucket)
        if keys is not None:
            keys.pop(key, None)

    def due(self, now: float, limit: int) -> list[str]:
        """Take out at most `limit` keys whose time has come."""
        found: list[str] = []
        while self._order and self._order[0] <= now and len(found) < limit:
            keys = self._buckets[self._order[0]]
            taken = list(islice(keys, limit - len(found)))
            if len(taken) == len(keys):
                del self._buckets[heapq.heappop(self._order)]
            else:
                for key in taken:
                    del keys[key]
            found += taken
        return found

    def first(self) -> float | None:
        """When the next key is due, as far as is known; None where there is none."""
        while self._order and not self._buckets[self._order[0]]:
            del self._buckets[heapq.heappop(self._order)]
        return float(self._order[0]) if self._order else None


def bucket_of(at: float) -> int:
    """The bucket of a time."""
    return math.ceil(at)
