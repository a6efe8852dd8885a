"""What eight bits cost: scores on dev by the float32 graphs and by those to be written, told and bounded.

Every dev example is taken, or evenly spaced ones where `export.gate_examples` allows fewer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import track

from training.export.check import ExportRefused
from training.export.dev import Dev, batches
from training.export.tasks import AnyExport
from training.export.tasks.base import Runners


@dataclass(frozen=True)
class Loss:
    """Scores in the task's unit, higher being better."""

    score: str
    num_examples: int
    fp32: float
    int8: float
    answers: Sequence[Any]
    """What the int8 graphs answered."""

    @property
    def lost(self) -> float:
        """Below zero where int8 is the better one."""
        return self.fp32 - self.int8

    def __str__(self) -> str:
        lost = f"{self.fp32:.2f} in fp32, {self.int8:.2f} in int8: {self.lost:+.2f} lost"
        return f"{self.score} on {self.num_examples} examples of dev: {lost}"

    def require_at_most(self, bound: float) -> None:
        """ExportRefused where more is lost."""
        if not self.lost <= bound:
            raise ExportRefused(f"{self}; export.max_loss allows {bound:g}")


def measure(export: AnyExport, dev: Dev, fp32: Runners, int8: Runners) -> Loss:
    """Run both over `dev`, with a bar where somebody looks on."""
    plain, small = (
        answers_on(dev, name, export, runners) for name, runners in (("fp32", fp32), ("int8", int8))
    )
    export.settle(small, dev.references)
    fp32_score, int8_score = (export.score(answers, dev.references) for answers in (plain, small))
    return Loss(export.score_name, len(dev.inputs), fp32_score, int8_score, small)


def answers_on(dev: Dev, name: str, export: AnyExport, runners: Runners) -> list[Any]:
    """What these graphs make of its inputs."""
    answers: list[Any] = [None] * len(dev.inputs)
    err = Console(stderr=True)
    cut = list(batches(map(export.row, dev.inputs)))
    for batch in track(cut, f"dev in {name}", console=err, transient=True, disable=not err.is_terminal):
        for index, answer in zip(batch.indexes, export.answer(runners, batch), strict=True):
            answers[index] = answer
    return answers
