"""What is asked of a measure, what it tells, and the clock that all of them share."""

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from service.client import Model
    from training.evaluate import Evidence

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """What the command line says."""

    file: Path
    columns: tuple[str, ...] = ()
    text: str = ""
    label: str = ""
    beam: int | None = None
    limit: int | None = None
    window: int | None = None
    """Characters after which the state of a language model begins anew."""
    measure: str = ""
    """Another measure than the model's own."""
    recipe: Path | None = None
    """What says how the file is read; None: the shipped recipe of the model's name, if there is one."""

    def recipe_of(self, model: str) -> str | Path:
        """For `training.evaluate`."""
        return self.recipe or model


@dataclass(frozen=True)
class Report:
    """What was measured: the same names for every task."""

    model: str
    file: str
    num_examples: int
    examples: str
    """What they are: texts, recordings, readings, …"""
    metric: str
    """Of `score`, such as BLEU or accuracy."""
    score: float
    unit: str
    """Such as %; empty where the metric is one of its own."""
    signature: str
    """The protocol, in the manner of sacreBLEU: what was counted, and how."""
    beam_size: int | None
    seconds: float
    examples_per_s: float
    tokens_per_s: float
    """Tokens written by a model that writes, read by one that labels."""
    more: dict[str, float] = field(default_factory=dict)
    """Other scores, by name."""
    digits: int = 2
    """Behind the point of all scores."""
    wait_k: int | None = None
    """Of a translation that was written while its source came in."""


@dataclass(frozen=True)
class Measured:
    """The report, and the model's answers one by one."""

    report: Report
    answers: Sequence[str]
    evidence: "Evidence"
    """From which it can be told whether another model is better."""


@dataclass
class Watch:
    """Takes the time that a model needs for its answers; a person who waits sees how far they are."""

    model: "Model"
    asked: Asked
    seconds: float = 0.0

    def all(self, answers: Iterable[T], total: int) -> list[T]:
        """All answers, in order."""
        from rich.console import Console
        from rich.progress import track

        quiet, started = not sys.stderr.isatty(), time.perf_counter()
        found = list(
            track(answers, "measuring", total, console=Console(stderr=True), transient=True, disable=quiet)
        )
        self.seconds = time.perf_counter() - started
        return found

    def report(
        self,
        metric: str,
        score: float,
        num_examples: int,
        num_tokens: int,
        signature: str,
        *,
        examples: str = "texts",
        unit: str = "%",
        beam_size: int | None = None,
        more: dict[str, float] | None = None,
        digits: int = 2,
        wait_k: int | None = None,
    ) -> Report:
        """The report on these answers."""
        return Report(
            model=f"{self.model.name}/{self.model.version}",
            file=str(self.asked.file),
            num_examples=num_examples,
            examples=examples,
            metric=metric,
            score=round(score, digits),
            unit=unit,
            signature=signature,
            beam_size=beam_size,
            seconds=round(self.seconds, 2),
            examples_per_s=round(num_examples / self.seconds, 1),
            tokens_per_s=round(num_tokens / self.seconds, 1),
            more={name: round(value, digits) for name, value in (more or {}).items()},
            digits=digits,
            wait_k=wait_k,
        )
