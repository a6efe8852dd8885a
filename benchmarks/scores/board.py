"""The lines of the table: what was measured of which bundle, and what was not, with the reason."""

import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.scores.evaluation import RECIPES, Evaluation, evaluations_of, known
from benchmarks.scores.found import Found
from service.bundle import Bundle
from training.config import load_recipe


@dataclass(frozen=True)
class Line:
    """One line, as it lies in the JSON file beside the page."""

    recipe: str
    task: str
    data: str
    case: str = ""
    metric: str = ""
    score: float | None = None
    """Of the served bundle, which is in int8; the mean, where there are several."""
    scores: list[float] = field(default_factory=list)
    """Of each bundle, where there are several."""
    fp32: float | None = None
    """Of the same weights in float32."""
    unit: str = ""
    digits: int = 2
    num_examples: int = 0
    examples: str = ""
    signature: str = ""
    more: dict[str, float] = field(default_factory=dict)
    beside: dict[str, float] = field(default_factory=dict)
    published: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""
    missing: str = ""
    """Why there is no score."""
    bundles: dict[str, str] = field(default_factory=dict)
    """Name and version → the beginning of the manifest's SHA-256, which names every file by its own."""
    date: str = ""
    commit: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.recipe, self.data, self.case

    @property
    def test(self) -> tuple[str, str]:
        return self.recipe, self.data

    def as_json(self) -> dict[str, Any]:
        """Without what is empty."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "", [], {})}


def line_without_score(recipe: str, wanted: Evaluation, reason: str) -> Line:
    return Line(missing=reason, **_named(recipe, wanted))


def lines_of(
    recipe: str,
    wanted: Evaluation,
    found: Mapping[str, Sequence[Found]],
    twins: Mapping[str, Sequence[Found]],
    bundles: Sequence[Bundle],
) -> list[Line]:
    """What was found of each bundle, and of those that have a float32 twin; a line for each case."""
    cases = list(zip(*found.values(), strict=True))
    plain = list(zip(*twins.values(), strict=True)) if len(twins) == len(found) else [()] * len(cases)
    return [_line(recipe, wanted, each, in_fp32, bundles) for each, in_fp32 in zip(cases, plain, strict=True)]


def _line(
    recipe: str, wanted: Evaluation, found: Sequence[Found], plain: Sequence[Found], bundles: Sequence[Bundle]
) -> Line:
    first = found[0]
    scores = [round(each.score, first.digits) for each in found]
    return Line(
        case=first.case,
        metric=first.metric,
        score=round(fmean(each.score for each in found), first.digits),
        scores=scores if len(scores) > 1 else [],
        fp32=round(fmean(each.score for each in plain), first.digits) if plain else None,
        unit=first.unit,
        digits=first.digits,
        num_examples=sum(each.num_examples for each in found) if wanted.own_tests else first.num_examples,
        examples=first.examples,
        signature=first.signature,
        more={name: round(fmean(each.more[name] for each in found), first.digits) for name in first.more},
        beside={name: round(value, first.digits) for name, value in first.beside.items()},
        bundles={f"{one.manifest.name}/{one.manifest.version}": one.manifest_hash[:12] for one in bundles},
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        commit=commit(),
        **_named(recipe, wanted),
    )


def _named(recipe: str, wanted: Evaluation) -> dict[str, Any]:
    return {
        "recipe": recipe,
        "task": load_recipe(RECIPES / f"{recipe}.toml").task,
        "data": wanted.data,
        "note": wanted.note,
        "published": _published(wanted),
    }


def quoted(line: Line) -> Line:
    """With what is published as the evaluation quotes it now, whenever the line was measured."""
    if line.recipe not in known():
        return line
    found = [one for one in evaluations_of(line.recipe).evaluation if one.data == line.data]
    return replace(line, published=_published(found[0])) if found else line


def _published(wanted: Evaluation) -> list[dict[str, Any]]:
    return [one.model_dump(exclude_defaults=True) for one in wanted.published]


@cache
def commit() -> str:
    """Of the working tree when this is first asked, before a page is written to it; nothing where there is no git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=10"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    return told.stdout.strip()


def kept(before: Sequence[Line], now: Sequence[Line], done: Collection[str] = ()) -> list[Line]:
    """Lines that were not measured again stay as they were, but for those of recipes that are done; and so do scores
    of models that are not here now, and float32 scores while bundles are the same.
    """
    scored = {line.test for line in before if line.score is not None}
    absent = scored & {line.test for line in now if line.missing}
    fresh = [line for line in now if line.test not in absent]
    new, known = {line.key for line in fresh}, {line.key: line for line in before}
    stay = [
        line for line in before if line.test in absent or (line.key not in new and line.recipe not in done)
    ]
    return stay + [_with_fp32_of(known.get(line.key), line) for line in fresh]


def _with_fp32_of(before: Line | None, now: Line) -> Line:
    if before is None or before.bundles != now.bundles or now.fp32 is not None:
        return now
    return replace(now, fp32=before.fp32)
