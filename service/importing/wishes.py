"""What whoever imports a model says about it; what is not said is found out."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Wishes:
    """By the names of the file's tensors."""

    states: Mapping[str, str] = field(default_factory=dict)
    """Input → the output that carries it on; empty: found by names, else by shapes."""
    batch_axes: Mapping[str, int] = field(default_factory=dict)
    time_axes: Mapping[str, int] = field(default_factory=dict)
    tolerance: float | None = None
    """How far a row may be from itself in other company; None: not at all, else it is run alone."""
