"""Numbers measured several times: their median and how far apart they lie."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, measured once in each round."""

    rounds: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> "Figure":
        return cls(tuple(values))

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def low(self) -> float:
        return min(self.rounds)

    @property
    def high(self) -> float:
        return max(self.rounds)

    def over(self, other: "Figure") -> "Figure":
        """The ratio, round by round: what disturbs the machine disturbs both sides of it."""
        return Figure.of(a / b if b else 0.0 for a, b in zip(self.rounds, other.rounds, strict=True))

    def as_json(self) -> dict[str, object]:
        return {"median": self.median, "low": self.low, "high": self.high, "rounds": list(self.rounds)}


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of the values do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
