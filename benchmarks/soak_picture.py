"""The curves of `benchmarks.soak` as one picture (extra `pictures`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.soak_samples import WARM_UP, Sample, Trend

SHOWN = "memory, MiB", "objects", "handles", "threads", "sessions", "tasks", "jobs", "slots"
BLUE, RED, GRID = "#4c78a8", "#e45756", "#7a7f8740"


def draw(samples: Sequence[Sample], found: Mapping[str, Trend], path: Path) -> None:
    """Every sample, and the line that is fitted where it counts."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.6), dpi=120, layout="constrained", facecolor="white")
    minutes = [sample["s"] / 60 for sample in samples]
    first = minutes[int(len(samples) * WARM_UP)]
    for axes, name in zip(figure.subplots(2, 4).flat, SHOWN, strict=True):
        trend = found[name]
        axes.plot(minutes, [sample[name] for sample in samples], color=BLUE, lw=0.8)
        ends = trend.mean - trend.grown / 2, trend.mean + trend.grown / 2
        axes.plot([first, minutes[-1]], ends, color=RED, lw=1.5)
        axes.set_title(f"{name}: {trend.grown:+,.1f} ± {trend.error:,.1f}", fontsize=9, loc="left")
        axes.set_ylim(0, max([sample[name] for sample in samples] + [1]) * 1.15)
        axes.grid(color=GRID, lw=0.6)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel("minutes", fontsize=8)
    figure.savefig(path)
