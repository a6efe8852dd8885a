"""What a benchmark leaves: a table in Markdown for people, and JSON with every round for machines."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.machine import describe

Value = Figure | str | None
Row = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the key of a row's value, the title, how a number is written."""

    key: str
    title: str
    pattern: str = "{:,.0f}"
    spread: bool = False
    """Write the lowest and the highest round, too."""

    def write(self, value: Value) -> str:
        if not isinstance(value, Figure):
            return value or ""
        text = self.pattern.format(value.median)
        if not self.spread or len(value.rounds) < 2:
            return text
        return f"{text} ({self.pattern.format(value.low)}–{self.pattern.format(value.high)})"


@dataclass
class Report:
    """One table. Columns that no row has a value for are left out."""

    title: str
    columns: Sequence[Column]
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        shown = [column for column in self.columns if any(row.get(column.key) for row in self.rows)]
        lines = [
            f"### {self.title}\n",
            "| " + " | ".join(column.title for column in shown) + " |",
            "|" + "---|" * len(shown),
            *("| " + " | ".join(c.write(row.get(c.key)) for c in shown) + " |" for row in self.rows),
            "",
            *(f"- {note}" for note in [*self.notes, describe()]),
        ]
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        rows = [{k: v.as_json() if isinstance(v, Figure) else v for k, v in row.items()} for row in self.rows]
        return {"title": self.title, "machine": describe(), "notes": self.notes, "rows": rows}


def rounds_note(rounds: int, seconds: float | None = None) -> str:
    """How the figures of a table came about."""
    each = f" of {seconds:g} s" if seconds else ""
    return (
        f"medians of {rounds} rounds{each}, lowest and highest in brackets; ratios are taken within a round"
    )


def publish(reports: Sequence[Report], out: Path | None) -> None:
    """Print the tables; with `out`, write them there as JSON."""
    print("\n\n".join(report.markdown() for report in reports))
    if out:
        found = {"command": " ".join(sys.argv[1:]), "reports": [report.as_json() for report in reports]}
        out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
