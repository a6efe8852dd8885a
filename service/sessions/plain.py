"""The plain form of a value: JSON facts and named arrays, from which it can be made again elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from service.step import NOTHING, Arrays


@dataclass(frozen=True, slots=True, eq=False)
class Plain:
    """Facts are JSON values; what must come back bit for bit, or may not be finite, is an array."""

    facts: Mapping[str, Any]
    arrays: Arrays = field(default_factory=lambda: NOTHING)

    def to_plain(self) -> Self:
        """Itself: so what came out of a snapshot goes into the next one as it is."""
        return self


class HasPlain(Protocol):
    """Something that can be written down at any moment, from any thread."""

    def to_plain(self) -> Plain: ...


def under(prefix: str, arrays: Arrays) -> Arrays:
    """The arrays, their names put under a prefix."""
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def within(prefix: str, arrays: Arrays) -> Arrays:
    """The arrays whose names stand under a prefix, without it."""
    start = f"{prefix}/"
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
