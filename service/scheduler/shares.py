"""How turns are divided between priorities while some of each wait.

Of the turns that both want, HIGH gets four for each of NORMAL's, and NORMAL four for each of LOW's: whoever waits has
at least one turn in 21, so nobody starves. Self-clocked fair queueing (Golestani 1994, section III): each priority has
the time at which its next turn is due, on a clock that the turns themselves move, and the earliest comes first. Who was
away has saved nothing up.
"""

from collections.abc import Collection

from service.priority import Priority

COST = {Priority.HIGH: 1, Priority.NORMAL: 4, Priority.LOW: 16}
"""How far the next turn is away."""


class Shares:
    """Says whose turn it is."""

    def __init__(self) -> None:
        self._now = 0
        self._due: dict[Priority, int] = {}
        """Of those who waited when a turn was given last."""

    def next(self, there: Collection[Priority]) -> Priority:
        """Give a turn to one of those who wait, of whom there is at least one."""
        due = {priority: self._due.get(priority, self._now + COST[priority]) for priority in there}
        first = min(due, key=lambda priority: (due[priority], priority))
        self._now = due[first]
        self._due = due | {first: self._now + COST[first]}
        return first
