"""What a protocol finds out."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Found:
    """A score with all that makes it comparable."""

    metric: str
    score: float
    unit: str
    """Such as %; empty where the metric is one of its own."""
    num_examples: int
    examples: str
    """What they are: texts, recordings, readings."""
    signature: str
    """What was counted, and how."""
    digits: int = 2
    more: Mapping[str, float] = field(default_factory=dict)
    """Other scores of the same answers, by name."""
    beside: Mapping[str, float] = field(default_factory=dict)
    """The same score of other outputs on the same test set: baselines, and what others have published."""
    case: str = ""
    """Which of several lines of one evaluation it is, such as k = 3."""
