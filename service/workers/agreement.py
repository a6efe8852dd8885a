"""What the workers have agreed to serve: a change that one was asked for is made by all, and by those begun later."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import count

from service.workers.line import Line, Message

CHANGE, FOLLOW, FOLLOWED, ANSWERED = "change", "follow", "followed", "answered"
"""Who was asked for a change has made it, the others are to, they have, and whoever was asked hears of that."""


@dataclass(frozen=True)
class Agreed:
    """By `<name>/<version>`."""

    served: frozenset[str]
    retired: Mapping[str, float] = field(default_factory=dict)
    """Served to the sessions that were opened on it, for so many seconds more."""


@dataclass
class _Change:
    asker: Line
    id: int
    """The asker's own."""
    waiting: set[int]
    """Process ids of those who have not made it yet."""
    num_sessions: int = 0


class Agreement:
    """Changes reach all workers in one order: that in which the parent heard of them."""

    def __init__(self) -> None:
        self._served: set[str] | None = None
        self._until: dict[str, float] = {}
        self._under_way: dict[int, _Change] = {}
        self._ids = count()

    @property
    def now(self) -> Agreed | None:
        """None before the first worker has told what there is."""
        if self._served is None:
            return None
        left = {label: until - time.monotonic() for label, until in self._until.items()}
        return Agreed(
            frozenset(self._served), {label: left_s for label, left_s in left.items() if left_s > 0}
        )

    def begin(self, labels: Collection[str]) -> None:
        """What the first worker has found on the disk."""
        if self._served is None:
            self._served = set(labels)

    def change(self, asker: Line, message: Message, others: Mapping[int, Line]) -> None:
        """One worker has made a change: let the others follow (process id → line)."""
        label, unload_in_s = f"{message['name']}/{message['version']}", message["unload_in_s"]
        if self._served is not None:
            self._served.discard(label) if unload_in_s is not None else self._served.add(label)
        if unload_in_s is not None:
            self._until[label] = time.monotonic() + unload_in_s
        id = next(self._ids)
        self._under_way[id] = _Change(asker, message["id"], set(others))
        for line in others.values():
            line.say(FOLLOW, **{**message, "say": FOLLOW, "id": id})
        self._end_where_all_have(id)

    def followed(self, pid: int, message: Message) -> None:
        change = self._under_way.get(message["id"])
        if change is not None:
            change.num_sessions += message["num_sessions"]
            change.waiting.discard(pid)
            self._end_where_all_have(message["id"])

    def forget(self, pid: int) -> None:
        """A worker is dead: whoever is begun in its place has made all changes."""
        for id, change in list(self._under_way.items()):
            change.waiting.discard(pid)
            self._end_where_all_have(id)

    def _end_where_all_have(self, id: int) -> None:
        change = self._under_way[id]
        if not change.waiting:
            del self._under_way[id]
            change.asker.say(ANSWERED, id=change.id, num_sessions=change.num_sessions)
