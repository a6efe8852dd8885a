"""Labels on readings, and anomalies in series."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.scores import nab
from benchmarks.scores.bench import Bench, as_evaluated
from benchmarks.scores.evaluation import Evaluation
from benchmarks.scores.found import Found
from training.evaluate import read_test_series

WINDOWS = "labels/combined_windows.json"


def labels(bench: Bench, model: str, wanted: Evaluation) -> list[Found]:
    """Accuracy; the F1 of the rarer label beside it, since always saying the other one is often right."""
    [found] = as_evaluated(bench, model, wanted)
    answers, about = bench.measured(model, wanted).answers, bench.client.model(model)
    series = read_test_series(bench.path(wanted.file), model, about.feature_names)
    truth = series.labels[: wanted.limit]
    hits = sum(ours == theirs == wanted.positive for ours, theirs in zip(answers, truth, strict=True))
    told, there = list(answers).count(wanted.positive), truth.count(wanted.positive)
    f1 = 200 * hits / max(told + there, 1)
    most = 100 * max(truth.count(label) for label in set(truth)) / len(truth)
    more = {f"F1 of {wanted.positive!r}": f1}
    return [replace(found, more=more, beside={"always the more frequent label": most})]


def anomalies(bench: Bench, model: str, wanted: Evaluation) -> list[Found]:
    """The benchmark's score in each of its profiles; the anomaly score of a reading is how strange it is."""
    folder = bench.path(wanted.file)
    series = list(_watched(bench, model, folder))
    scores = {profile.name: nab.score(series, profile).score for profile in nab.PROFILES}
    standard = scores.pop(nab.STANDARD.name)
    signature = (
        "NAB|windows:combined|probation:15 %|threshold:best of all, one for all series and each profile"
    )
    return [
        Found("NAB score", standard, "", len(series), "series", signature, 1, more=scores),
    ]


def _watched(bench: Bench, model: str, folder: Path) -> Iterator[nab.Watched]:
    """Every labelled series, as the model sees it."""
    labelled: dict[str, list[list[str]]] = json.loads((folder / WINDOWS).read_text("utf-8"))
    for name, windows in sorted(labelled.items()):
        path = folder / "data" / name
        steps = bench.client.predict(
            read_test_series(path, model, bench.client.model(model).feature_names).values.tolist(),
            model=model,
        ).steps
        rows = {time: row for row, time in enumerate(_times(path))}
        ends = [(rows[_plain(first)], rows[_plain(last)]) for first, last in windows]
        yield nab.Watched(np.array([step.anomaly_score for step in steps]), ends)


def _times(path: Path) -> Iterator[str]:
    for line in path.read_text("utf-8").splitlines()[1:]:
        yield line.partition(",")[0]


def _plain(time: str) -> str:
    """Labels name times with microseconds, series without."""
    return time.partition(".")[0]
