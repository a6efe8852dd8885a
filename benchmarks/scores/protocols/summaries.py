"""Summaries beside those of others, and beside what takes no model at all."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from benchmarks.scores.bench import Bench, as_evaluated
from benchmarks.scores.evaluation import RECIPES, Evaluation
from benchmarks.scores.found import Found
from training.config import SummaryRecipe, load_recipe
from training.data.readers import read_dev, read_pairs
from training.data.rouge import score_rouge
from training.data.scores import score_deletions
from training.evaluate import read_test_summaries

FIRST_WORDS = 14
"""What is left by the baseline of compressions; the corpus's own is about as long."""
LONGEST_LEAD = 20


def compressions(bench: Bench, model: str, wanted: Evaluation) -> list[Found]:
    """F1 of the words that are left; beside it that of published outputs and of simple rules, by the same count."""
    [found] = as_evaluated(bench, model, wanted)
    pairs = read_test_summaries(bench.path(wanted.file), model)
    texts, targets = [pair.source for pair in pairs], [pair.target for pair in pairs]

    def f1(outputs: Sequence[str]) -> float:
        return score_deletions(outputs, targets, texts).f1

    beside = {
        "all words": f1(texts),
        f"the first {FIRST_WORDS} words": f1([_first(one, FIRST_WORDS) for one in texts]),
    }
    if wanted.outputs:
        beside |= _published(bench.path(wanted.outputs), len(texts))
    return [replace(found, beside=beside)]


def _published(folder: Path, number: int) -> dict[str, float]:
    """Each system's outputs against the references that lie beside them, cut as they are; the mean of its runs."""
    texts, targets = (_lines(folder / name, number) for name in ("input.txt", "gold.txt"))
    runs: dict[str, list[float]] = {}
    for path in sorted(folder.glob("*.comp")):
        name = path.stem.rpartition("_")[0]
        runs.setdefault(name, []).append(score_deletions(_lines(path, number), targets, texts).f1)
    return {
        f"published outputs: {name}, mean of {len(each)} runs": fmean(each) for name, each in runs.items()
    }


def headlines(bench: Bench, model: str, wanted: Evaluation) -> list[Found]:
    """ROUGE; beside it that of the text's first words, as many as are best on what the recipe holds out."""
    [found] = as_evaluated(bench, model, wanted)
    recipe = load_recipe(RECIPES / f"{model}.toml")
    assert isinstance(recipe, SummaryRecipe)
    data, names = recipe.data, (recipe.data.text, recipe.data.summary)
    dev = read_dev(lambda files: read_pairs(bench.data, files, data, *names), data, lambda pair: pair.source)
    lead = _best_lead([pair.source for pair in dev], [pair.target for pair in dev])
    test = read_test_summaries(bench.path(wanted.file), model)
    scores = score_rouge([_first(pair.source, lead) for pair in test], [pair.target for pair in test])
    named = {"ROUGE-L": scores.longest, "ROUGE-1": scores.one, "ROUGE-2": scores.two}
    told = f"the first {lead} words (chosen on dev)"
    return [replace(found, beside={f"{told}: {name}": value for name, value in named.items()})]


def _best_lead(texts: Sequence[str], targets: Sequence[str]) -> int:
    def score(number: int) -> float:
        return score_rouge([_first(text, number) for text in texts], targets).longest

    return max(range(1, LONGEST_LEAD + 1), key=score)


def _first(text: str, number: int) -> str:
    return " ".join(text.split()[:number])


def _lines(path: Path, number: int) -> list[str]:
    lines = path.read_text("utf-8").splitlines()
    if len(lines) != number:
        raise ValueError(f"{path}: {len(lines)} lines, where the test set has {number}")
    return lines
