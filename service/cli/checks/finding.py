"""One thing that the doctor found, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from service.errors import ConfigRefused

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """Whatever is not well says what to do."""

    about: str
    text: str
    level: Level = "ok"
    """warning: it can serve, though not as well as it could; problem: it cannot serve, or not all of it."""
    advice: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """For machines."""

    def __post_init__(self) -> None:
        if self.level != "ok" and not self.advice:
            raise ValueError(f"{self.about}: a {self.level} needs advice")


def warning(about: str, text: str, advice: str, **facts: Any) -> Finding:
    return Finding(about, text, "warning", advice, facts)


def problem(about: str, text: str, advice: str, **facts: Any) -> Finding:
    return Finding(about, text, "problem", advice, facts)


def refused(about: str, error: ConfigRefused, advice: str) -> Finding:
    """The problem behind a refused setting; many of these errors say themselves what to do, after a semicolon."""
    text, _, told = str(error).partition("; ")
    return problem(about, text, told or advice)
