"""The page: tables for people, a section for each kind of model."""

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.scores.board import Line
from benchmarks.scores.evaluation import evaluations_of

SECTIONS = {
    "Translation, and how words are said": ("translate",),
    "Summaries": ("summarize", "compress"),
    "Labels": ("classify", "tag"),
    "Language models": ("generate", "chat"),
    "Speech": ("transcribe",),
    "Readings": ("predict",),
    "Captions": ("caption",),
}
HEAD = """# Scores

Every figure of this page was had from a running server, by the client that everybody has, on test sets on which nothing
was chosen, and was written here by

```sh
python -m benchmarks.scores --data DATA --write docs/scores.md
```

`DATA` is a folder with the data sets, named as the recipes name them; with names of recipes, only these are measured.
*int8* is the bundle that is served; *fp32* the same weights in float32, measured in the same way where their training
run was at hand (`--runs RUNS`); cards tell what int8 loses on dev. What stands under *beside* was scored by the same
command on the same test set; what was published is quoted, with what keeps it from being a peer. `scores.json` beside
this page holds the same for machines.

A line without a score has no bundle in the repository:

```sh
seqserve train training/recipes/NAME.toml --data DATA --out runs/NAME
seqserve export runs/NAME --models models --data DATA
```

make one, and the first command measures it. Where the command is run without such a model, a score that it had before
stays, with its date and commit.
"""


def page_of(lines: Sequence[Line]) -> str:
    """The whole page, in Markdown."""
    parts = [HEAD]
    for title, tasks in SECTIONS.items():
        if chosen := [line for line in lines if line.task in tasks]:
            parts.append(f"## {title}\n\n{_table(chosen)}\n\n{_notes(chosen)}")
    return "\n".join([*parts, _measured(lines)])


def score_text(score: float | None, line: Line) -> str:
    """With its unit and as many digits as it has."""
    return "" if score is None else f"{score:,.{line.digits}f} {line.unit}".rstrip()


def _table(lines: Sequence[Line]) -> str:
    rows = [
        "| model | test set | measure | int8 | fp32 | beside, by the same count | published |",
        "|---|---|---|---|---|---|---|",
        *(f"| {' | '.join(_cells(line))} |" for line in lines),
    ]
    return "\n".join(rows)


def _cells(line: Line) -> list[str]:
    data = f"{line.data}, {line.case}" if line.case else line.data
    number = f", {line.num_examples:,} {line.examples}" if line.num_examples else ""
    return [
        f"`{line.recipe}`",
        f"{data}{number}",
        line.metric,
        _score(line),
        score_text(line.fp32, line),
        _joined(f"{score_text(value, line)} {name}" for name, value in line.beside.items()),
        _joined(map(_published, line.published)) or "none known under this protocol",
    ]


def _score(line: Line) -> str:
    if line.missing:
        return line.missing
    spread = f"{min(line.scores):.{line.digits}f}–{max(line.scores):.{line.digits}f}" if line.scores else ""
    mean = f"mean of {len(line.scores)}: {spread}" if spread else ""
    more = (f"{name} {value:,.{line.digits}f}" for name, value in line.more.items())
    return _joined(filter(None, (f"**{score_text(line.score, line)}**", mean, *more)))


def _published(one: dict[str, Any]) -> str:
    """The figure as it was printed there."""
    differs = f"; {one['differs']}" if one.get("differs") else ""
    return f"{one['score']} {one['system']} ({one['source']}{differs})"


def _joined(parts: Iterable[str]) -> str:
    return "<br>".join(part.replace("|", "\\|") for part in parts)


def _notes(lines: Sequence[Line]) -> str:
    """The signature of each score that there is; and what else has to be known."""
    told: dict[str, None] = {}
    for line in lines:
        if parts := [text for text in (line.note, f"`{line.signature}`" if line.signature else "") if text]:
            told[f"- `{line.recipe}`, {line.data}: {'; '.join(parts)}"] = None
    return "\n".join(told) + "\n"


def _measured(lines: Sequence[Line]) -> str:
    """Which bundle, when, at which commit."""
    rows: dict[str, None] = {}
    for line in lines:
        for name, digest in line.bundles.items():
            rows[f"| `{name}` | `{digest}` | {line.date} | `{line.commit}` |"] = None
    head = [
        "## What was measured",
        "",
        "A bundle is named by the SHA-256 of its manifest, which holds those of all its files.",
        "",
        "| bundle | manifest | date | commit |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def missing_text(recipe: str, names: Sequence[str]) -> str:
    """Why there is no score, where there is none of these bundles."""
    if recipe not in names:
        return f"recipe only: `python -m benchmarks.scores.variants {recipe} --data DATA`"
    why = "" if evaluations_of(recipe).ships else ", as the licence of its data asks"
    return f"recipe only{why}: `seqserve train training/recipes/{recipe}.toml`"
