"""The curves of `benchmarks.overload` as one picture (extra `pictures`)."""

from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.report import Report, Row

INK, GRID = "#7a7f87", "#7a7f8740"
BLUE, ORANGE, GREEN, RED = "#4c78a8", "#f58518", "#54a24b", "#e45756"


def draw(report: Report, path: Path) -> None:
    """Goodput, what became of the calls, and how long answers and refusals took, over the load."""
    from matplotlib.figure import Figure as Canvas

    rows = [row for row in report.rows if _of(row, "load").median > 0]
    loads = [_of(row, "load").median for row in rows]
    canvas = Canvas(figsize=(9, 3.4), dpi=130, layout="constrained", facecolor="white")
    goodput, times = canvas.subplots(1, 2)
    _curve(goodput, loads, rows, "goodput_per_s", "answered in time", BLUE)
    goodput.plot(loads, [_of(row, "offered_per_s").median for row in rows], ":", color=INK, label="offered")
    capacity = max(_of(row, "goodput_per_s").median for row in report.rows)
    goodput.axhline(0.8 * capacity, color=GREEN, lw=1, ls="--", label="80 % of the peak")
    goodput.set_ylim(0, 1.5 * capacity)
    goodput.set_ylabel("calls per second")
    for key, label, colour in (
        ("answer_ms", "answers, median", BLUE),
        ("answer_p99_ms", "answers, p99", ORANGE),
        ("refused_ms", "refusals, median", GREEN),
        ("refused_p99_ms", "refusals, p99", RED),
    ):
        _curve(times, loads, rows, key, label, colour)
    times.set_yscale("log")
    times.set_ylabel("milliseconds")
    for axes in (goodput, times):
        axes.set_xscale("log")
        axes.set_xticks(loads, [f"{load:g}×" for load in loads])
        axes.minorticks_off()
        axes.set_xlabel("offered, of the capacity")
        axes.grid(color=GRID, lw=0.6)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    canvas.savefig(path)


def _curve(axes: Any, loads: list[float], rows: list[Row], key: str, label: str, colour: str) -> None:
    """Medians as a line, least and most as a band; what is 0 is not there."""
    found = [(load, _of(row, key)) for load, row in zip(loads, rows, strict=True) if _of(row, key).median > 0]
    if found:
        xs = [load for load, _ in found]
        axes.plot(xs, [figure.median for _, figure in found], "o-", ms=4, color=colour, label=label)
        axes.fill_between(
            xs, [f.low for _, f in found], [f.high for _, f in found], color=colour, alpha=0.2, lw=0
        )


def _of(row: Row, key: str) -> Figure:
    figure = row[key]
    assert isinstance(figure, Figure)
    return figure
