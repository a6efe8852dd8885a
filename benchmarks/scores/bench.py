"""A served model on test data: what every protocol has at hand."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.scores.evaluation import Evaluation
from benchmarks.scores.found import Found
from service.cli.evaluate import measured
from service.cli.measures import Asked, Measured

if TYPE_CHECKING:
    from service.client import Client


@dataclass
class Bench:
    """A client, and answers that were had from it: what several protocols score is asked for once."""

    client: "Client"
    data: Path
    recipes: dict[str, Path] = field(default_factory=dict)
    """Models whose recipe is not the shipped one of their name: what says how their test files are read."""
    _known: dict[tuple[str, Asked], Measured] = field(default_factory=dict)

    def path(self, file: str) -> Path:
        """In the data folder."""
        return self.data / file

    def asked(self, model: str, wanted: Evaluation, file: str = "") -> Asked:
        """As on the command line of `seqserve evaluate`."""
        path, recipe = self.path(file or wanted.file), self.recipes.get(model)
        return Asked(path, beam=wanted.beam, limit=wanted.limit, window=wanted.window, recipe=recipe)

    def measured(self, model: str, wanted: Evaluation, file: str = "") -> Measured:
        """What `seqserve evaluate` finds."""
        key = model, self.asked(model, wanted, file)
        if key not in self._known:
            self._known[key] = measured(self.client, *key)
        return self._known[key]


def as_evaluated(bench: Bench, model: str, wanted: Evaluation) -> list[Found]:
    """The report of `seqserve evaluate`, with the wanted score in front."""
    report = bench.measured(model, wanted).report
    scores = {report.metric: report.score} | report.more
    metric = wanted.metric or report.metric
    beam = f"|beam:{report.beam_size}" if report.beam_size else ""
    found = Found(
        metric=metric,
        score=scores.pop(metric),
        unit=report.unit,
        num_examples=report.num_examples,
        examples=report.examples,
        signature=report.signature + beam,
        digits=report.digits,
        more=scores,
    )
    return [found]
