"""Rows on their way from layer to layer: in floats, or ready to be multiplied."""

from collections.abc import Callable, Sequence

from training.export.arithmetic import Arithmetic, Factor
from training.export.graph import Graph, Value


class Signal:
    """Begins as one of the two and becomes the other where somebody asks, once in a graph."""

    def __init__(
        self, numbers: Arithmetic, *, floats: Value | None = None, factor: Factor | None = None
    ) -> None:
        self._numbers, self._floats, self._factor = numbers, floats, factor
        self.bounded = factor is not None and factor.scale is None
        """Whether nothing in it is beyond -1 and 1."""

    def floats(self, graph: Graph) -> Value:
        """As near as is known."""
        if self._floats is None:
            assert self._factor
            self._floats = self._numbers.floats(graph, self._factor)
        return self._floats

    def factor(self, graph: Graph) -> Factor:
        """With a scale for each row where the floats are what it began as."""
        if self._factor is None:
            assert self._floats
            self._factor = self._numbers.factor(graph, self._floats)
        return self._factor

    def moved(self, move: Callable[[Value], Value]) -> "Signal":
        """Whole rows in other places."""
        moved = move(self._value)
        if self.bounded:
            return Signal(self._numbers, factor=self._numbers.held(moved))
        return Signal(self._numbers, floats=moved)

    @property
    def _value(self) -> Value:
        """What can be moved and joined."""
        value = self._factor.value if self.bounded and self._factor else self._floats
        assert value
        return value

    @classmethod
    def joined(cls, graph: Graph, parts: "Sequence[Signal]") -> "Signal":
        """Side by side: bounded if all of them are."""
        if all(part.bounded for part in parts):
            return parts[0].moved(lambda _: graph.op("Concat", *(part._value for part in parts), axis=-1))
        floats = graph.op("Concat", *(part.floats(graph) for part in parts), axis=-1)
        return cls(parts[0]._numbers, floats=floats)
